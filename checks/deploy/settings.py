"""docs/configuration.md, which the program writes from its own table: what settings there are."""

import re


def settings_of(page):
    """{(section, key)} and {TIDEWIRE_..}; a secret is also known as a file's path."""
    keys, variables, section = set(), set(), None
    for line in page.splitlines():
        if head := re.match(r"## `\[(\w+)\]`", line):
            section = head.group(1)
        elif row := re.match(r"\| `(\w+)`<br>`(\w+)` \|", line):
            for end in ("", "_file") if "or the path of a file, as" in line else ("",):
                keys.add((section, row.group(1) + end))
                variables.add(row.group(2) + end.upper())
    return keys, variables
