"""passerby train: a recipe -> a checkpoint."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("train", short_help="Train what a recipe says (extra [train]).")
@click.argument("recipe", metavar="RECIPE")
@click.option(
    "--set", "overrides", multiple=True, metavar="SECTION.FIELD=VALUE", help="Change one setting; may be repeated."
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the run.  [default: runs/RECIPE]")
@click.option("--resume", is_flag=True, help="Go on from the last epoch of --out, exactly.")
@click.option("--show", is_flag=True, help="Print the settings that would be used, as JSON, and stop.")
def command(recipe: str, overrides: tuple[str, ...], out: Path | None, resume: bool, show: bool) -> None:
    """Train RECIPE: a shipped recipe's name (head), or a .py file that sets RECIPE.

    The run's folder gets last.safetensors (to resume), best.safetensors (averaged weights of the best epoch, to
    export), history.json and curves.png. Data paths of a recipe are relative to --set data.root=DIR.
    """
    import json

    from passerby.cli.progress import Progress
    from passerby.cli.torch_wall import learn
    from passerby.recipe import load_recipe

    chosen = load_recipe(recipe).set(*overrides)
    if show:
        click.echo(json.dumps(chosen.to_dict(), indent=1))
        return
    progress = Progress()
    try:
        with learn():
            from passerby.learn.loop import train

            train(chosen, out or Path("runs") / Path(recipe).stem, progress, resume)
    finally:
        progress.clear()
