"""The AWS provider's schema, read off the classes that npm's @cdktf/provider-aws generates from it.

The provider itself comes from no package index, but what it takes and gives stands in those classes:
names, which are blocks, which are required, which are only answered."""

import json
import re
import tarfile

PACKAGE = "@cdktf/provider-aws"
PACKAGE_VERSION = "21.22.1"
# What that package was generated from.
PROVIDER_VERSION = "6.25.0"

# Optional, and filled in by AWS where left out. The classes do not tell; only these matter here.
ALSO_ANSWERED = {"id", "arn", "region", "tags_all"}

FUNCTION = re.compile(r"^function (\w+)ToHclTerraform\(struct\) \{(.*?)^\}", re.S | re.M)
CLASS = re.compile(r"^class (\w+) extends cdktf\.(\w+) \{(.*?)^\}", re.S | re.M)
ENTRY = re.compile(
    r"^ +(\w+): \{\s+value: (.*?),\s+isBlock: (true|false),\s+type: \"(\w+)\",\s+storageClassType: \"(\w+)\",\s+\}",
    re.S | re.M,
)
GETTER = re.compile(r"^    get \w+\(\) \{\s+return (.*?);\s+\}", re.S | re.M)
ANSWER = re.compile(r"this\.get(\w+)Attribute\('(\w+)'\)")
PART = re.compile(r"this\._\w+ = new (\w+?)(List|OutputReference|Map)\(this, \"(\w+)\"(?:, (true|false))?\)")
INTERFACE = re.compile(r"^export interface (\w+)(?: extends [\w.]+)? \{(.*?)^\}", re.S | re.M)
FIELD = re.compile(r"^    readonly (\w+)(\??): (.*?);$", re.S | re.M)

PLAIN = {"string": "string", "number": "number", "boolean": "bool", "any": "dynamic"}
ANSWERED = {
    "String": "string",
    "Number": "number",
    "Boolean": "bool",
    "List": ["list", "string"],
    "NumberList": ["list", "number"],
    "StringMap": ["map", "string"],
    "NumberMap": ["map", "number"],
    "BooleanMap": ["map", "bool"],
    "AnyMap": ["map", "string"],
}


def camel(name):
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


class Module:
    """One resource's or data source's file, taken apart."""

    def __init__(self, script, types):
        self.functions = {name[0].upper() + name[1:]: body for name, body in FUNCTION.findall(script)}
        self.classes = {name: (base, body) for name, base, body in CLASS.findall(script)}
        self.interfaces = {
            name: {field: (mark == "", kind) for field, mark, kind in FIELD.findall(body)}
            for name, body in INTERFACE.findall(types)
        }

    def block(self, entries_in, interface, class_body):
        """A block's attributes and blocks: what is given (entries), then what is only answered."""
        attributes, blocks = {}, {}
        fields = self.interfaces.get(interface, {})
        entries = ENTRY.findall(entries_in)
        for name, value, is_block, kind, storage in entries:
            required, declared = fields.get(camel(name), (False, ""))
            inner = re.search(r"(\w+?)ToHclTerraform", value.replace("cdktf.", ""))
            if storage in PLAIN or storage[-4:] == "List" and storage[:-4] in PLAIN or storage[-3:] == "Map":
                attributes[name] = {"type": plain(kind, storage), "required": required, "optional": not required,
                                    "computed": not required and name in ALSO_ANSWERED}
                continue
            struct = inner.group(1)[0].upper() + inner.group(1)[1:]
            answers = self.classes.get(struct + "OutputReference", ("", ""))[1]
            nested = self.block(self.functions[struct], struct, answers)
            if is_block == "false":
                attributes[name] = {"type": [kind if kind in ("list", "set", "map") else "list", as_object(nested)],
                                    "required": required, "optional": not required, "computed": not required}
                continue
            many = "[]" in declared
            blocks[name] = {
                "nesting": {"struct": "single"}.get(kind, kind),
                "min": 1 if required and kind != "struct" else 0,
                "max": 0 if many or kind == "struct" else 1,
                "block": nested,
            }
        given = {name for name, *_ in entries}
        self.answered(class_body, given, attributes)
        return {"attributes": attributes, "blocks": blocks}

    def answered(self, class_body, given, attributes):
        for body in GETTER.findall(class_body):
            for kind, name in ANSWER.findall(body):
                if name not in given and kind in ANSWERED:
                    answer = ANSWERED[kind]
                    if "tolist(" in body and isinstance(answer, list):
                        answer = ["set", answer[1]]
                    attributes[name] = {"type": answer, "computed": True}
        for struct, kind, name, is_set in PART.findall(class_body):
            if name not in given:
                inner = self.block("", "", self.classes.get(struct + "OutputReference", ("", ""))[1])
                wrapper = {"Map": "map"}.get(kind, "set" if is_set == "true" else "list")
                attributes[name] = {"type": [wrapper, as_object(inner)], "computed": True}


def plain(kind, storage):
    if storage in PLAIN:
        return PLAIN[storage]
    inner = PLAIN[re.sub("(List|Map)$", "", storage)]
    return [kind if kind in ("list", "set", "map") else "list", "string" if inner == "dynamic" else inner]


def as_object(block):
    types = {name: attribute["type"] for name, attribute in block["attributes"].items()}
    for name, nested in block["blocks"].items():
        types[name] = [nested["nesting"] if nested["nesting"] != "single" else "list", as_object(nested["block"])]
    return ["object", types]


def read(archive, wanted):
    """{"resource": {type: block}, "data": {..}, "provider": block} of the wanted (kind, type)s; raises
    KeyError with what the provider does not have."""
    folders = {("provider", "aws"): "provider"}
    for kind, name in wanted:
        stem = name.removeprefix("aws_").replace("_", "-")
        folders[(kind, name)] = stem if kind == "resource" else f"data-aws-{stem}"
    members = {}
    with tarfile.open(archive) as tar:
        ends = {f"package/lib/{folder}/index{end}" for folder in folders.values() for end in (".js", ".d.ts")}
        for member in tar:
            if member.name in ends:
                members[member.name] = tar.extractfile(member).read().decode()
    schema = {"resource": {}, "data": {}}
    for (kind, name), folder in folders.items():
        path = f"package/lib/{folder}/index"
        if path + ".js" not in members:
            raise KeyError(f"{kind} {name}")
        module = Module(members[path + ".js"], members[path + ".d.ts"])
        owner, (_, body) = next(
            (owner, found) for owner, found in module.classes.items()
            if found[0] in ("TerraformResource", "TerraformDataSource", "TerraformProvider")
        )
        entries = body.split("synthesizeHclAttributes() {", 1)[1]
        block = module.block(entries, owner + "Config", body)
        if kind == "provider":
            # `alias` is Terraform's own word.
            block["attributes"].pop("alias", None)
            schema["provider"] = block
        else:
            schema[kind][name] = block
    return schema


def wanted_in(files):
    """The (kind, type)s that these Terraform files and tests name."""
    found = set()
    for path in files:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        found |= set(re.findall(r'^\s*(resource|data) "(aws_\w+)"', text, re.M))
        found |= {("resource", name) for name in re.findall(r'^\s*mock_resource "(aws_\w+)"', text, re.M)}
        found |= {("data", name) for name in re.findall(r'^\s*mock_data "(aws_\w+)"', text, re.M)}
    return sorted(found)


def write(archive, files, path):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(read(archive, wanted_in(files)), file)
