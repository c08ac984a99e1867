"""What the tool does. What it takes and answers stands in wit/world.wit."""

from componentize_py_types import Err


class WitWorld:
    def greet(self, name: str, times: int | None) -> str:
        times = 1 if times is None else times
        # What is raised as Err is the error that the caller gets.
        if times < 1:
            raise Err("say how often: 1 or more")
        if times > 100:
            raise Err(f"{times} times is too often")
        return " ".join([f"Hello, {name}!"] * times)
