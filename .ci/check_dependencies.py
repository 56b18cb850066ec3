"""Holds every dependency in Cargo.lock against deny.toml: its licence, and where it comes from. Needs no network beyond the packages themselves."""

import json
import re
import subprocess
import sys
import tomllib


def is_allowed(expression: str, allowed: set[str]) -> bool:
    """Evaluates an SPDX expression: OR needs one side, AND both. `/` is how older packages write OR."""
    tokens = re.findall(r"\(|\)|[^\s()/]+|/", expression)
    position = 0

    def peek() -> str | None:
        return tokens[position] if position < len(tokens) else None

    def take() -> str:
        nonlocal position
        if position >= len(tokens):
            raise ValueError(f"'{expression}' is no SPDX expression")
        position += 1
        return tokens[position - 1]

    def either() -> bool:
        result = both()
        while peek() in ("OR", "/"):
            take()
            right = both()
            result = result or right
        return result

    def both() -> bool:
        result = single()
        while peek() == "AND":
            take()
            right = single()
            result = result and right
        return result

    def single() -> bool:
        name = take()
        if name == "(":
            result = either()
            if take() != ")":
                raise ValueError(f"'{expression}' is no SPDX expression")
            return result
        if peek() == "WITH":
            take()
            name = f"{name} WITH {take()}"
        return name in allowed

    result = either()
    if peek() is not None:
        raise ValueError(f"'{expression}' is no SPDX expression")
    return result


def main() -> int:
    with open("deny.toml", "rb") as file:
        rules = tomllib.load(file)
    allowed, registries = set(rules["licenses"]["allow"]), rules["sources"]["allow-registry"]
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--all-features"]
    metadata = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    problems = []
    for package in metadata["packages"]:
        name = f"{package['name']} {package['version']}"
        licence = package["license"]
        if licence is None:
            problems.append(f"{name}: states no licence")
        elif not is_allowed(licence, allowed):
            problems.append(f"{name}: its licence '{licence}' is not in deny.toml")
        source = package["source"]
        if source is not None and source.removeprefix("registry+") not in registries:
            problems.append(f"{name}: comes from {source}")
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"dependencies: {len(metadata['packages'])} packages checked, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
