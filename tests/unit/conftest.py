"""Fixtures of the unit tests."""

from film_fixtures import film, talk  # noqa: F401
from localiser_fixtures import red_model, red_picture  # noqa: F401
from model_fixtures import (  # noqa: F401 (pytest finds fixtures by their names here)
    cli,
    found,
    make_spec,
    make_video,
    refused,
    shell,
    tiny_bytes,
    tiny_four,
    tiny_int8,
    tiny_model,
    tiny_spec,
    told,
)
from web_fixtures import client, make_site, picture_bytes, site  # noqa: F401
