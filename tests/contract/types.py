#!/usr/bin/env python3
"""Writes types.txt: how kube-apiserver types the objects of its built-in kinds.

What merges how stands in the OpenAPI v3 documents of a running server; what an absent field prints as stands in the Go
sources of the same version. Run it against the test bed, whose module also names those sources:

    python3 tests/cluster/bed.py up --stay --clusters one:kubernetes > bed.json &
    python3 tests/contract/types.py bed.json tests/cluster/build/controlplane > src/simulation/fields/types.txt
"""
import json
import pathlib
import re
import ssl
import subprocess
import sys
import urllib.request

# Group and version, the OpenAPI document, the Go module and package.
PACKAGES = {
    "core.v1": ("api/v1", "k8s.io/api", "core/v1"),
    "apps.v1": ("apis/apps/v1", "k8s.io/api", "apps/v1"),
    "autoscaling.v1": ("apis/autoscaling/v1", "k8s.io/api", "autoscaling/v1"),
    "autoscaling.v2": ("apis/autoscaling/v2", "k8s.io/api", "autoscaling/v2"),
    "batch.v1": ("apis/batch/v1", "k8s.io/api", "batch/v1"),
    "coordination.v1": ("apis/coordination.k8s.io/v1", "k8s.io/api", "coordination/v1"),
    "discovery.v1": ("apis/discovery.k8s.io/v1", "k8s.io/api", "discovery/v1"),
    "policy.v1": ("apis/policy/v1", "k8s.io/api", "policy/v1"),
    "networking.v1": ("apis/networking.k8s.io/v1", "k8s.io/api", "networking/v1"),
    "rbac.v1": ("apis/rbac.authorization.k8s.io/v1", "k8s.io/api", "rbac/v1"),
    "apiextensions.v1": ("apis/apiextensions.k8s.io/v1", "k8s.io/apiextensions-apiserver", "pkg/apis/apiextensions/v1"),
    "meta.v1": ("api/v1", "k8s.io/apimachinery", "pkg/apis/meta/v1"),
}
KINDS = """core.v1 Namespace ConfigMap Secret Service ServiceAccount Event Pod PodTemplate Endpoints
apps.v1 Deployment ReplicaSet DaemonSet StatefulSet
autoscaling.v1 Scale
autoscaling.v2 HorizontalPodAutoscaler
batch.v1 Job
coordination.v1 Lease
discovery.v1 EndpointSlice
policy.v1 PodDisruptionBudget
networking.v1 Ingress NetworkPolicy
rbac.v1 Role RoleBinding ClusterRole ClusterRoleBinding
apiextensions.v1 CustomResourceDefinition"""
SCALARS = {"Quantity": "quantity", "IntOrString": "intstr", "Time": "time", "MicroTime": "time"}
HEADER = """# How kube-apiserver {version} types its built-in kinds: made by types.py from its OpenAPI documents and Go sources.
#
# One struct a line; `!` after its name: it merges as a whole. Fields are name, mark, colon, type, and `=` a default.
# Marks: none, always there (zero when absent); `^` always there (null when absent); `?` left out when zero or empty;
# `*` left out when null.
# Types: str int num bool quantity intstr time (leaves), any (any JSON), raw (any JSON, one leaf), Struct, {{T}} map,
# [T] list; behind them `!`: merges as a whole, `set`, or `by KEYS`: a list whose items are told apart by those fields.
"""


def go_fields(module, folder):
    """Struct name -> {json name: (go type, tag options)}, and the inlined structs; of one Go package."""
    directory = subprocess.run(["go", "list", "-m", "-f", "{{.Dir}}", module], cwd=sys.argv[2], check=True, capture_output=True, text=True).stdout.strip()
    structs = {}
    for source in sorted(pathlib.Path(directory, folder).glob("*.go")):
        for name, body in re.findall(r"^type (\w+) struct \{\n(.*?)^\}", source.read_text(), re.S | re.M):
            structs[name] = re.findall(r'^\t(?:(\w+)\s+)?([\w.*\[\]]+)\s+`.*?json:"([^"]*)"', body, re.M)
    return structs


class Types:
    def __init__(self, documents, structs):
        self.documents, self.structs, self.lines, self.names = documents, structs, {}, {}

    def struct(self, package, name):
        """The name in the table of a struct; writes its line when it is new."""
        key = (package, name)
        if key in self.names:
            return self.names[key]
        taken = {n for n in self.names.values()}
        short = name if name not in taken else package.split(".")[0].capitalize() + name
        self.names[key] = short
        schema = self.schema(package, name)
        self.lines[short] = ""  # keeps the order of first mention
        fields = [self.field(package, name, f, p) for f, p in sorted(schema["properties"].items())]
        atomic = "!" if schema.get("x-kubernetes-map-type") == "atomic" else ""
        self.lines[short] = " ".join([short + atomic, *fields])
        return short

    def schema(self, package, name):
        prefix = {"meta.v1": "io.k8s.apimachinery.pkg.apis.", "apiextensions.v1": "io.k8s.apiextensions-apiserver.pkg.apis."}.get(package, "io.k8s.api.")
        for document in (self.documents[package], *self.documents.values()):
            if prefix + package + "." + name in document:
                return document[prefix + package + "." + name]
        raise SystemExit(f"types.py: no document describes {package}.{name}")

    def go(self, package, struct, field):
        """Go type and tag options of a field, looked for in inlined structs, too."""
        for _, kind, tag in self.structs[package][struct]:
            name, *options = tag.split(",")
            if name == field:
                return kind, options
            if name == "" and "inline" in options:
                inlined, _, base = kind.rpartition(".")
                found = self.go({"metav1": "meta.v1", "v1": "core.v1"}.get(inlined, package), base, field)
                if found:
                    return found
        return None

    def field(self, package, struct, name, schema):
        kind, options = self.go(package, struct, name)
        omitted = "omitempty" in options
        plain_struct = not re.match(r"[*\[]|map", kind) and self.is_struct(schema, kind)
        if "omitzero" in options or (omitted and not kind.startswith("*") and not plain_struct):
            mark = "?"
        elif omitted and kind.startswith("*"):
            mark = "*"
        elif re.match(r"[*\[]|map", kind):
            mark = "^"
        else:
            mark = ""
        written = self.type(schema)
        default = schema.get("default")
        return f"{name}{mark}:{written}" + (f"={json.dumps(default)}" if default not in (None, {}, "", 0, False) else "")

    def is_struct(self, schema, kind):
        return bool(self.reference(schema)) and not re.search(r"(?i)protocol$", kind)

    @staticmethod
    def reference(schema):
        reference = schema.get("$ref") or (schema["allOf"][0].get("$ref") if len(schema.get("allOf", [])) == 1 else None)
        return reference and reference.rsplit("/", 1)[1]

    def type(self, schema):
        reference = self.reference(schema)
        if reference:
            package, name = reference.split(".")[-3:-1], reference.split(".")[-1]
            package = ".".join(package)
            if name in SCALARS:
                return SCALARS[name]
            if name == "RawExtension":
                return "raw"
            if name == "FieldsV1" or package not in PACKAGES:
                return "raw"
            if "properties" not in self.schema(package, name):
                return "any"
            written = self.struct(package, name)
            return written + ("!" if schema.get("x-kubernetes-map-type") == "atomic" else "")
        if schema.get("type") == "object":
            return "{" + self.type(schema["additionalProperties"]) + "}" + ("!" if schema.get("x-kubernetes-map-type") == "atomic" else "")
        if schema.get("type") == "array":
            return "[" + self.type(schema["items"]) + "]" + self.list(schema)
        return {"string": "str", "integer": "int", "number": "num", "boolean": "bool"}.get(schema.get("type"), "any")

    @staticmethod
    def list(schema):
        kind, strategy = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-patch-strategy", "")
        if kind == "map":
            return "by" + ",".join(schema["x-kubernetes-list-map-keys"])
        if kind == "set":
            return "set"
        if kind is None and "merge" in strategy.split(","):
            key = schema.get("x-kubernetes-patch-merge-key")
            return "by" + key if key else "set"
        return ""


def documents(bed):
    cluster = next(iter(json.loads(pathlib.Path(bed).read_text())["clusters"].values()))
    context = ssl._create_unverified_context()
    get = lambda path: json.load(urllib.request.urlopen(urllib.request.Request(  # noqa: E731
        cluster["server"] + path, headers={"Authorization": "Bearer " + cluster["adminToken"], "Accept": "application/json"}), context=context))
    return get("/version")["gitVersion"], {package: get("/openapi/v3/" + path)["components"]["schemas"] for package, (path, _, _) in PACKAGES.items()}


def main():
    version, found = documents(sys.argv[1])
    types = Types(found, {package: go_fields(module, folder) for package, (_, module, folder) in PACKAGES.items()})
    for row in KINDS.splitlines():
        package, *kinds = row.split()
        for kind in kinds:
            types.struct(package, kind)
    sys.stdout.write(HEADER.format(version=version) + "\n".join(types.lines.values()) + "\n")


main()
