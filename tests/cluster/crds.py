"""The custom resources that the bed installs: Istio's routing kinds, the Gateway API's HTTPRoute and, on request, Flagger's.

They keep every field (`x-kubernetes-preserve-unknown-fields`) and check none: what matters here is that routes, specs and
statuses are stored as written. A list inside such a field is atomic, as Istio's `http` is.
"""
from __future__ import annotations

ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def crd(group, kind, plural, versions, status=False, categories=(), short_names=(), columns=(), scope="Namespaced", top=None):
    properties = {"spec": ANYTHING, **(top or {})}
    # Istio's kinds have a status without being asked; there it is an ordinary subresource, too.
    properties["status"] = ANYTHING
    served = [{"name": version, "served": True, "storage": storage,
               "schema": {"openAPIV3Schema": {"type": "object", "properties": properties}},
               **({"subresources": {"status": {}}} if status else {}),
               **({"additionalPrinterColumns": [{"name": n, "type": t, "jsonPath": p} for n, t, p in columns]} if columns else {})}
              for version, storage in versions]
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"{plural}.{group}"},
            "spec": {"group": group, "scope": scope, "versions": served,
                     "names": {"kind": kind, "listKind": kind + "List", "plural": plural, "singular": kind.lower(),
                               "categories": list(categories), "shortNames": list(short_names)}}}


def istio():
    versions = [("v1beta1", False), ("v1", True)]
    kinds = [("VirtualService", "virtualservices", "vs"), ("DestinationRule", "destinationrules", "dr"), ("Gateway", "gateways", "gw")]
    return [crd("networking.istio.io", kind, plural, versions, status=True, categories=["istio-io", "networking-istio-io"], short_names=[short])
            for kind, plural, short in kinds]


def gateway():
    route = crd("gateway.networking.k8s.io", "HTTPRoute", "httproutes", [("v1beta1", False), ("v1", True)], status=True, categories=["gateway-api"])
    # The API server refuses kinds of its own groups that nobody answers for.
    route["metadata"]["annotations"] = {"api-approved.kubernetes.io": "unapproved, for tests alone"}
    return [route]


def routers():
    """Everything else that a router or a scaler of a Canary may be made of."""
    one = lambda version: [(version, True)]
    split = [("v1alpha1", False), ("v1alpha2", True), ("v1alpha3", False)]
    return [crd("projectcontour.io", "HTTPProxy", "httpproxies", one("v1"), status=True),
            crd("traefik.io", "TraefikService", "traefikservices", one("v1alpha1")),
            crd("gateway.solo.io", "RouteTable", "routetables", one("v1")),
            crd("gloo.solo.io", "Upstream", "upstreams", one("v1")),
            crd("apisix.apache.org", "ApisixRoute", "apisixroutes", one("v2"), status=True),
            crd("kuma.io", "TrafficRoute", "trafficroutes", one("v1alpha1"), scope="Cluster", top={"mesh": {"type": "string"}}),
            crd("serving.knative.dev", "Service", "services", one("v1"), status=True),
            crd("split.smi-spec.io", "TrafficSplit", "trafficsplits", split),
            crd("keda.sh", "ScaledObject", "scaledobjects", one("v1alpha1"), status=True)]


def flagger():
    versions = [("v1beta1", True)]
    canary = [("Status", "string", ".status.phase"), ("Weight", "string", ".status.canaryWeight"),
              ("LastTransitionTime", "string", ".status.lastTransitionTime")]
    return [crd("flagger.app", "Canary", "canaries", versions, status=True, categories=["all"], columns=canary),
            crd("flagger.app", "MetricTemplate", "metrictemplates", versions, status=True, categories=["all"],
                columns=[("Provider", "string", ".spec.provider.type")]),
            crd("flagger.app", "AlertProvider", "alertproviders", versions, status=True, categories=["all"],
                columns=[("Type", "string", ".spec.type")])]


def established(kube, wanted):
    """True once the API server serves every one of these."""
    for item in wanted:
        now = kube.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/" + item["metadata"]["name"])
        if not any(c["type"] == "Established" and c["status"] == "True" for c in now.get("status", {}).get("conditions", [])):
            return False
    return True
