"""passerby: finds people, heads or whole persons, in pictures and video on small hardware."""
