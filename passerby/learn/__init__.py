"""Everything that needs torch: networks, training, export. Nothing outside this folder imports torch or this folder,
but the command line's verbs that train and export.
"""
