"""The CloudFormation templates as they would be deployed: read, parameters filled in, intrinsics resolved, exports looked up.

Knows CloudFormation's language and nothing of what our stacks are for. What only AWS can know (an id, an address) becomes a
text such as `${network.Vpc}`, so that two places that mean the same thing compare equal. Invariant: what does not exist (a
name, an attribute's resource, an export of an earlier stack) raises `Unresolved` and never becomes a value.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).resolve().parents[2] / "ecs"
ORDER = ("network", "data", "tasks", "service", "observability")  # that of deployment
REGION, ACCOUNT = "eu-central-1", "111122223333"
GIVEN: dict[str, Any] = {  # what has no default
    "Image": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/claude-code-proxy:1.0.0",
    "HostName": "proxy.example.com",
    "AdminAllowedCidrs": "192.0.2.0/24,198.51.100.7/32",
    "TaskDefinition": f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/claude-code-proxy:7",
    "CertificateArn": f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/0b1c",
}
_PSEUDO = {
    "AWS::Region": REGION,
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackName": "stack",
}
_ABSENT = object()  # AWS::NoValue

Templates = dict[str, dict[str, Any]]


class Unresolved(Exception):
    """Something is named that does not exist."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource that is really made (its condition holds), its properties resolved."""

    stack: str
    name: str
    kind: str
    properties: dict[str, Any]
    attributes: dict[str, Any]  # DependsOn, DeletionPolicy, ...

    @property
    def ref(self) -> str:
        return f"${{{self.stack}.{self.name}}}"

    def __getitem__(self, name: str) -> Any:
        return self.properties[name]

    def get(self, name: str, default: Any = None) -> Any:
        return self.properties.get(name, default)


def load_templates() -> Templates:
    return {name: yaml.load((FOLDER / f"{name}.yaml").read_text(), Loader=_Loader) for name in ORDER}


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms, which become the long ones."""


def _long_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix in ("Ref", "Condition"):
        return {suffix: value}
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _long_form)


class Stacks:
    """All stacks of one installation, with `given` over the parameters' defaults."""

    def __init__(self, templates: Templates | None = None, **given: Any) -> None:
        self.templates = deepcopy(templates if templates is not None else load_templates())
        self._given = GIVEN | given
        self._exports: dict[str, tuple[str, Any]] | None = None

    def parameter(self, stack: str, name: str) -> Any:
        declared = self.templates[stack]["Parameters"][name]
        value = self._given.get(name, declared.get("Default", _ABSENT))
        if value is _ABSENT:
            raise Unresolved(f"{stack}: parameter {name} has neither default nor value")
        return value.split(",") if declared["Type"] == "CommaDelimitedList" else value

    def all(self, kind: str | None = None, stack: str | None = None) -> list[Resource]:
        """Every resource that is made, of a type and a stack if one is given."""
        return [
            self.one(where, name)
            for where in ORDER
            for name, raw in self.templates[where]["Resources"].items()
            if self._is_made(where, raw) and kind in (None, raw["Type"]) and stack in (None, where)
        ]

    def one(self, stack: str, name: str) -> Resource:
        raw = self.templates[stack]["Resources"].get(name)
        if raw is None:
            raise Unresolved(f"{stack}: there is no resource {name}")
        rest = {key: value for key, value in raw.items() if key not in ("Type", "Properties")}
        return Resource(stack, name, raw["Type"], self.resolve(stack, raw.get("Properties", {})), rest)

    def output(self, stack: str, name: str) -> Any:
        return self.resolve(stack, self.templates[stack]["Outputs"][name]["Value"])

    def exports(self) -> dict[str, tuple[str, Any]]:
        """Exported name -> (stack, value not yet resolved)."""
        if self._exports is not None:
            return self._exports
        found: dict[str, tuple[str, Any]] = {}
        for stack in ORDER:
            for output in self.templates[stack].get("Outputs", {}).values():
                if "Export" in output:
                    name = self.resolve(stack, output["Export"]["Name"])
                    if name in found:
                        raise Unresolved(f"{name} is exported twice")
                    found[name] = (stack, output["Value"])
        self._exports = found
        return found

    def resolve(self, stack: str, node: Any) -> Any:
        if isinstance(node, list):
            return [value for value in (self.resolve(stack, inner) for inner in node) if value is not _ABSENT]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            ((name, argument),) = node.items()
            if name == "Ref":
                return self._ref(stack, argument)
            if name.startswith("Fn::"):
                return self._call(stack, name[4:], argument)
        resolved = {name: self.resolve(stack, inner) for name, inner in node.items()}
        return {name: value for name, value in resolved.items() if value is not _ABSENT}

    def _is_made(self, stack: str, raw: dict[str, Any]) -> bool:
        return "Condition" not in raw or self._holds(stack, {"Condition": raw["Condition"]})

    def _ref(self, stack: str, name: str) -> Any:
        template = self.templates[stack]
        if name == "AWS::NoValue":
            return _ABSENT
        if name in _PSEUDO:
            return _PSEUDO[name]
        if name in template.get("Parameters", {}):
            return self.parameter(stack, name)
        return self._resource_text(stack, name, "")

    def _resource_text(self, stack: str, name: str, attribute: str) -> str:
        raw = self.templates[stack]["Resources"].get(name)
        if raw is None:
            raise Unresolved(f"{stack}: there is no {name}")
        if not self._is_made(stack, raw):
            raise Unresolved(f"{stack}: {name} is not made under these conditions")
        return f"${{{stack}.{name}{attribute}}}"

    def _call(self, stack: str, function: str, argument: Any) -> Any:
        call = getattr(self, f"_fn_{function.lower()}", None)
        if call is None:
            raise Unresolved(f"{stack}: Fn::{function} is not known here")
        return call(stack, argument)

    def _fn_getatt(self, stack: str, argument: list[str]) -> Any:
        name, attribute = argument
        text = self._resource_text(stack, name, f".{attribute}")
        own = self.templates[stack]["Resources"][name].get("Properties", {})
        return self.resolve(stack, own[attribute]) if attribute in ("CidrBlock", "AvailabilityZone") else text

    def _fn_sub(self, stack: str, argument: Any) -> str:
        text, own = (argument, {}) if isinstance(argument, str) else (argument[0], self.resolve(stack, argument[1]))

        def filled(found: re.Match[str]) -> str:
            name = found[1]
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            if name in own:
                return str(own[name])
            return str(self._fn_getatt(stack, name.split(".", 1)) if "." in name else self._ref(stack, name))

        return re.sub(r"\$\{([^}]+)\}", filled, text)

    def _fn_join(self, stack: str, argument: list[Any]) -> str:
        return str(argument[0]).join(map(str, self.resolve(stack, argument[1])))

    def _fn_split(self, stack: str, argument: list[Any]) -> list[str]:
        return str(self.resolve(stack, argument[1])).split(argument[0])

    def _fn_select(self, stack: str, argument: list[Any]) -> Any:
        return self.resolve(stack, argument[1])[int(argument[0])]

    def _fn_getazs(self, stack: str, argument: Any) -> list[str]:
        return [f"{REGION}{letter}" for letter in "abc"]

    def _fn_cidr(self, stack: str, argument: list[Any]) -> list[str]:
        block, count, bits = self.resolve(stack, argument)
        subnets = ipaddress.ip_network(block).subnets(new_prefix=32 - int(bits))
        return [str(subnet) for subnet, _ in zip(subnets, range(int(count)), strict=False)]

    def _fn_findinmap(self, stack: str, argument: list[Any]) -> Any:
        table, row, column = self.resolve(stack, argument)
        return self.templates[stack]["Mappings"][table][row][column]

    def _fn_if(self, stack: str, argument: list[Any]) -> Any:
        condition, then, otherwise = argument
        return self.resolve(stack, then if self._holds(stack, {"Condition": condition}) else otherwise)

    def _fn_importvalue(self, stack: str, argument: Any) -> Any:
        name = self.resolve(stack, argument)
        exported = self.exports().get(name)
        if exported is None or ORDER.index(exported[0]) >= ORDER.index(stack):
            raise Unresolved(f"{stack}: no earlier stack exports {name}")
        return self.resolve(*exported)

    def _holds(self, stack: str, node: dict[str, Any]) -> bool:
        ((name, argument),) = node.items()
        if name == "Condition":
            return self._holds(stack, self.templates[stack]["Conditions"][argument])
        if name == "Fn::Not":
            return not self._holds(stack, argument[0])
        if name == "Fn::Equals":
            left, right = self.resolve(stack, argument)
            return bool(left == right)
        raise Unresolved(f"{stack}: condition {name} is not known here")


def strings_of(node: Any) -> Iterator[str]:
    """Every text inside, resolved or not."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from (name, *strings_of(value))
    elif isinstance(node, list):
        for value in node:
            yield from strings_of(value)
    else:
        yield str(node)


def named_resources(node: Any, names: set[str]) -> set[str]:
    """Which of `names` a raw piece of template refers to."""
    if isinstance(node, list):
        return {found for inner in node for found in named_resources(inner, names)}
    if not isinstance(node, dict):
        return set()
    found = {inner for value in node.values() for inner in named_resources(value, names)}
    if "Ref" in node:
        found |= {node["Ref"]} & names
    if "Fn::GetAtt" in node:
        found |= {node["Fn::GetAtt"][0]} & names
    if "Fn::Sub" in node:
        text = node["Fn::Sub"] if isinstance(node["Fn::Sub"], str) else node["Fn::Sub"][0]
        found |= {name.split(".")[0] for name in re.findall(r"\$\{([^!}]+)\}", text)} & names
    return found
