"""Two lists of the image's crates against each other: the one in the binary, which cargo-auditable wrote while it was
compiled, and the CycloneDX file beside it, which must be valid by its schema as well."""

import json
import sys
import zlib

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from elftools.elf.elffile import ELFFile


def in_binary(path):
    """{(name, version)} of the crates that are in it, not of those that only built it."""
    with open(path, "rb") as file:
        section = ELFFile(file).get_section_by_name(".dep-v0")
        if section is None:
            return set()
        said = json.loads(zlib.decompress(section.data()))
    return {(one["name"], one["version"]) for one in said["packages"] if one.get("kind", "runtime") == "runtime" and not one.get("root")}


def in_list(text):
    return {(one["name"], one["version"]) for one in json.loads(text)["components"] if one.get("scope") == "required"}


def main():
    binary, path = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        text = file.read()
    wrong = []
    invalid = JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)
    if invalid:
        wrong.append(f"the list of crates is not CycloneDX 1.5: {invalid}")
    built, listed = in_binary(binary), in_list(text)
    if not built:
        wrong.append("the binary does not say which crates are in it")
    unlisted = [f"{name} {version}" for name, version in sorted(built - listed)]
    if unlisted:
        wrong.append(f"in the binary, and not listed: {', '.join(unlisted)}")
    print(f"list of crates: CycloneDX 1.5, {len(listed)} crates; the binary names {len(built)}, {len(built - listed)} of them not listed")
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
