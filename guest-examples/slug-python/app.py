"""Makes slugs of titles. What it takes and answers stands in wit/world.wit."""

import re

from componentize_py_types import Err


class WitWorld:
    def slug(self, title: str, words: int | None) -> str:
        found = re.findall("[a-z0-9]+", title.lower())
        # What is raised as Err is the error that the caller gets.
        if not found:
            raise Err("the title has no letter or digit of ASCII")
        return "-".join(found[:words])
