"""The operations that fields.py records, in order, under headings.

Each is a dict: verb (create, put, merge, json, apply or pause), the object or its reference, the manager, and for refusals
`refused`. Objects of one heading share their names with no other heading.
"""
from __future__ import annotations

import copy

NAMESPACE = "contract"
APPS, CORE = "apps/v1", "v1"


def item(version, kind, name, rest=None, labels=None, annotations=None, **metadata):
    meta = {"name": name} | metadata
    if version != "v1" or kind != "Namespace":
        meta["namespace"] = NAMESPACE
    if labels is not None:
        meta["labels"] = labels
    if annotations is not None:
        meta["annotations"] = annotations
    return {"apiVersion": version, "kind": kind, "metadata": meta} | (rest or {})


def step(verb, name, obj, manager, subresource="", force=False, refused=False, **more):
    return {"verb": verb, "name": name, "object": obj, "manager": manager, "subresource": subresource, "force": force, "refused": refused} | more


def create(name, obj, manager="alice", **more):
    return step("create", name, obj, manager, **more)


def apply(name, obj, manager="applier", **more):
    return step("apply", name, obj, manager, **more)


def put(name, obj, edit, manager="bob", **more):
    def edited(live):
        edit(live)
        return live
    return step("put", name, obj, manager, edit=edited, **more)


def merge(name, obj, patch, manager="carol", **more):
    return step("merge", name, obj, manager, patch=patch, **more)


def json_patch(name, obj, patch, manager="dave", **more):
    return step("json", name, obj, manager, patch=patch, **more)


PAUSE = {"verb": "pause"}


def container(name="web", image="registry.test/web:1.0.0", **more):
    return {"name": name, "image": image} | more


def deployment(name="web", containers=None, labels=None, annotations=None, template=None, **spec):
    pod = {"containers": containers or [container()]} | (template or {})
    rest = {"spec": {"selector": {"matchLabels": {"app": name}}, "template": {"metadata": {"labels": {"app": name}}, "spec": pod}} | spec}
    return item(APPS, "Deployment", name, rest, labels=labels, annotations=annotations)


def ref(obj):
    """An object as far as a path needs it."""
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": {k: v for k, v in obj["metadata"].items() if k in ("name", "namespace")}}


def without(obj, *path):
    """A copy without the field at `path`."""
    obj = copy.deepcopy(obj)
    holder = obj
    for part in path[:-1]:
        holder = holder[part]
    del holder[path[-1]]
    return obj


def namespaces():
    space = item(CORE, "Namespace", NAMESPACE)
    yield create("namespace", space)
    yield apply("namespace: labels applied", item(CORE, "Namespace", NAMESPACE, labels={"team": "a", "env": "test"}))
    yield apply("namespace: one label less", item(CORE, "Namespace", NAMESPACE, labels={"team": "a"}))
    yield merge("namespace: a condition through status", ref(space), {"status": {"conditions": [
        {"type": "Seen", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z", "reason": "Because", "message": ""}]}}, subresource="status")


def configmaps():
    one = item(CORE, "ConfigMap", "one", {"data": {"a": "1", "b": "2"}}, labels={"app": "one"})
    yield create("configmap", one)
    yield merge("configmap: nothing changes", ref(one), {"data": {"a": "1"}})
    yield merge("configmap: one key changes", ref(one), {"data": {"a": "9"}})
    yield merge("configmap: one key added, one removed", ref(one), {"data": {"c": "3", "b": None}})
    yield PAUSE
    yield put("configmap: data replaced", ref(one), lambda o: o.update(data={"x": "y"}))
    yield json_patch("configmap: label and annotation by JSON patch", ref(one), [
        {"op": "add", "path": "/metadata/annotations", "value": {"example.com/note": "<a & b>"}},
        {"op": "replace", "path": "/metadata/labels/app", "value": "two"}])
    yield put("configmap: data gone", ref(one), lambda o: o.pop("data"))
    yield put("configmap: immutable and binary data", ref(one), lambda o: o.update(immutable=False, binaryData={"k": "AAEC"}))
    yield merge("configmap: finalizers", ref(one), {"metadata": {"finalizers": ["example.com/a", "example.com/b"]}})
    yield merge("configmap: one finalizer less", ref(one), {"metadata": {"finalizers": ["example.com/b"]}}, manager="bob")
    yield merge("configmap: owners", ref(one), {"metadata": {"ownerReferences": [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "11111111-1111-1111-1111-111111111111"}]}})
    yield merge("configmap: owner is a controller", ref(one), {"metadata": {"ownerReferences": [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "11111111-1111-1111-1111-111111111111", "controller": True}]}}, manager="bob")
    two = item(CORE, "ConfigMap", "two", {"data": {"a": "1", "b": "2"}}, labels={"app": "two"}, annotations={"note": "x"}, finalizers=["example.com/f"])
    yield apply("configmap: created by apply", two)
    yield apply("configmap: the same again", two)
    yield PAUSE
    yield apply("configmap: the same again, later", two)
    yield apply("configmap: the same by another", two, manager="second")
    yield apply("configmap: a key less, still another's", without(two, "data", "b"))
    yield apply("configmap: a key less, nobody's", without(two, "data", "b"), manager="second")
    yield apply("configmap: no data at all", without(two, "data"))
    yield apply("configmap: no data at all by both", without(two, "data"), manager="second")
    yield apply("configmap: no finalizers and annotations", without(without(two, "metadata", "finalizers"), "metadata", "annotations"))
    yield apply("configmap: no finalizers and annotations by both", without(without(two, "metadata", "finalizers"), "metadata", "annotations"), manager="second")
    yield apply("configmap: empty data", without(two, "data") | {"data": {}})
    yield apply("configmap: null data", without(two, "data") | {"data": None})
    yield apply("configmap: nothing but a name", item(CORE, "ConfigMap", "two"))
    three = item(CORE, "ConfigMap", "three", {"data": {"a": "1"}})
    yield apply("configmap: three", three)
    yield merge("configmap: three updated by another", ref(three), {"data": {"a": "2"}})
    yield apply("configmap: three conflicts", three, refused=True)
    yield PAUSE
    yield apply("configmap: three forced", three, force=True)
    yield merge("configmap: three updated twice", ref(three), {"data": {"b": "2", "c": "3"}})
    yield apply("configmap: three takes what is equal", item(CORE, "ConfigMap", "three", {"data": {"a": "1", "b": "2"}}))
    yield apply("configmap: three conflicts with two managers", item(CORE, "ConfigMap", "three", {"data": {"a": "5", "b": "6", "c": "7"}}), manager="third", refused=True)
    yield apply("configmap: three, an unknown field", three | {"date": {}}, refused=True)
    yield apply("configmap: three, a wrong type", item(CORE, "ConfigMap", "three", {"data": {"a": 1}}), refused=True)
    many = item(CORE, "ConfigMap", "many", {"data": {"m00": "0"}})
    yield create("configmap: many", many, manager="m00")
    for n in range(1, 13):
        if n % 4 == 0:
            yield PAUSE
        yield merge(f"configmap: many managers, {n}", ref(many), {"data": {f"m{n:02}": str(n)}}, manager=f"m{n:02}")
    yield merge("configmap: managedFields cleared", ref(one), {"metadata": {"managedFields": [{}]}}) | {"unrecorded": True}
    yield merge("configmap: nobody owns anything", ref(one), {"data": {"new": "1"}})
    yield apply("configmap: applied where nobody owns anything, conflicts", item(CORE, "ConfigMap", "one", {"data": {"new": "2"}}), refused=True)
    yield apply("configmap: applied where nobody owns anything", item(CORE, "ConfigMap", "one", {"data": {"new": "1", "fresh": "2"}}))
    yield merge("configmap: without a manager", ref(one), {"data": {"nameless": "1"}}, manager="") | {"skip": True}


def secrets():
    secret = item(CORE, "Secret", "s", {"stringData": {"password": "geheim", "empty": ""}, "data": {"user": "YWRtaW4="}})
    yield create("secret: stringData", secret)
    yield merge("secret: stringData again", ref(secret), {"stringData": {"password": "neu"}})
    applied = item(CORE, "Secret", "t", {"stringData": {"password": "geheim"}, "type": "Opaque"})
    yield apply("secret: applied stringData", applied)
    yield apply("secret: applied stringData again", applied)
    yield PAUSE
    yield apply("secret: applied stringData later", applied)


def serviceaccounts():
    account = item(CORE, "ServiceAccount", "runner", {"imagePullSecrets": [{"name": "pull"}]})
    yield create("serviceaccount", account)
    yield apply("serviceaccount: applied", account | {"automountServiceAccountToken": False})
    yield merge("serviceaccount: secrets", ref(account), {"secrets": [{"name": "a"}, {"name": "b"}]})
    yield apply("serviceaccount: secrets merged", account | {"secrets": [{"name": "b"}]})
    yield apply("serviceaccount: one more pull secret", account | {"imagePullSecrets": [{"name": "pull"}, {"name": "more"}]}, refused=True)


def services():
    web = item(CORE, "Service", "web", {"spec": {"selector": {"app": "web"}, "ports": [
        {"name": "http", "port": 80, "targetPort": 8080}, {"name": "grpc", "port": 9090, "targetPort": "grpc", "appProtocol": "kubernetes.io/h2c"}]}})
    yield create("service", web)
    yield merge("service: selector", ref(web), {"spec": {"selector": {"app": "web", "track": "primary"}}})
    yield apply("service: applied over", web, force=True)
    yield apply("service: a port less", item(CORE, "Service", "web", {"spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}}))
    yield json_patch("service: a port's target", ref(web), [{"op": "replace", "path": "/spec/ports/0/targetPort", "value": 8081}])
    yield apply("service: the target again", web, refused=True)
    yield put("service: ports turned round", ref(web), lambda o: o["spec"]["ports"].reverse())
    yield merge("service: session affinity", ref(web), {"spec": {"sessionAffinity": "ClientIP"}})
    yield merge("service: status", ref(web), {"status": {"conditions": [
        {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z", "reason": "Fine", "message": "m"}]}}, subresource="status", manager="controller")
    applied = item(CORE, "Service", "applied", {"spec": {"selector": {"app": "x"}, "ports": [{"port": 80}, {"port": 80, "protocol": "UDP", "name": "udp"}]}})
    applied["spec"]["ports"][0]["name"] = "tcp"
    yield apply("service: applied, same port twice", applied)
    yield PAUSE
    yield apply("service: applied again", applied)
    yield apply("service: applied selector removed", without(applied, "spec", "selector"))
    yield create("service: headless", item(CORE, "Service", "headless", {"spec": {"clusterIP": "None", "selector": {"a": "b"}, "ports": [{"port": 5}]}}))
    yield create("service: external name", item(CORE, "Service", "external", {"spec": {"type": "ExternalName", "externalName": "example.com"}}))


def deployments():
    web = deployment()
    yield create("deployment: minimal", web)
    yield merge("deployment: nothing changes", ref(web), {"spec": {"replicas": 1}})
    yield merge("deployment: replicas", ref(web), {"spec": {"replicas": 3}})
    yield PAUSE
    yield merge("deployment: status", ref(web), {"status": {"replicas": 3, "updatedReplicas": 3, "observedGeneration": 2, "conditions": [
        {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable", "message": "fine", "lastTransitionTime": "2026-01-01T00:00:00Z", "lastUpdateTime": "2026-01-01T00:00:00Z"}]}},
        subresource="status", manager="controller")
    yield merge("deployment: status again", ref(web), {"status": {"readyReplicas": 3, "availableReplicas": 3}}, subresource="status", manager="controller")
    yield merge("deployment: status condition changes", ref(web), {"status": {"conditions": [
        {"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable", "message": "no", "lastTransitionTime": "2026-01-02T00:00:00Z", "lastUpdateTime": "2026-01-02T00:00:00Z"},
        {"type": "Progressing", "status": "True", "reason": "X", "message": "y", "lastTransitionTime": "2026-01-02T00:00:00Z", "lastUpdateTime": "2026-01-02T00:00:00Z"}]}},
        subresource="status", manager="controller")
    yield merge("deployment: labels through status are not taken", ref(web), {"metadata": {"labels": {"x": "y"}, "annotations": {"through": "status"}}, "status": {"replicas": 4}}, subresource="status", manager="controller")
    yield put("deployment: status through put is not taken", ref(web), lambda o: o["status"].update(replicas=9) or o["spec"].update(replicas=4))
    yield put("deployment: put of the same", ref(web), lambda o: None)
    yield json_patch("deployment: image", ref(web), [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "registry.test/web:1.1.0"}])
    yield merge("deployment: restart annotation", ref(web), {"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}}}}})
    yield merge("deployment: paused", ref(web), {"spec": {"paused": True}})
    yield merge("deployment: no longer paused", ref(web), {"spec": {"paused": False}}, manager="bob")
    yield json_patch("deployment: a container more", ref(web), [{"op": "add", "path": "/spec/template/spec/containers/-", "value": container("side", "registry.test/side:latest")}])
    yield json_patch("deployment: env", ref(web), [{"op": "add", "path": "/spec/template/spec/containers/0/env", "value": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}])
    yield json_patch("deployment: one env changes", ref(web), [{"op": "replace", "path": "/spec/template/spec/containers/0/env/0/value", "value": "2"}], manager="bob")
    yield json_patch("deployment: env emptied", ref(web), [{"op": "replace", "path": "/spec/template/spec/containers/0/env", "value": []}])
    yield json_patch("deployment: the container goes", ref(web), [{"op": "remove", "path": "/spec/template/spec/containers/1"}])
    yield merge("deployment: strategy Recreate", ref(web), {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}})
    yield merge("deployment: strategy back", ref(web), {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": "10%"}}}}, manager="bob")
    yield apply("deployment: applied over updates", web, refused=True)
    yield apply("deployment: forced over updates", web, force=True)
    yield merge("deployment: replicas by scale", {"apiVersion": APPS, "kind": "Deployment", "metadata": web["metadata"]}, {"spec": {"replicas": 7}}, subresource="scale", manager="scaler")
    yield PAUSE
    yield merge("deployment: replicas by scale again", {"apiVersion": APPS, "kind": "Deployment", "metadata": web["metadata"]}, {"spec": {"replicas": 8}}, subresource="scale", manager="scaler")
    yield merge("deployment: replicas by scale, same", {"apiVersion": APPS, "kind": "Deployment", "metadata": web["metadata"]}, {"spec": {"replicas": 8}}, subresource="scale", manager="other")
    yield apply("deployment: applied with replicas against the scaler", deployment(replicas=2), refused=True)
    yield merge("deployment: replicas taken from the scaler", ref(web), {"spec": {"replicas": 2}})
    yield merge("deployment: replicas by another scaler", {"apiVersion": APPS, "kind": "Deployment", "metadata": web["metadata"]}, {"spec": {"replicas": 5}}, subresource="scale", manager="other")

    rich = deployment("rich", replicas=2, containers=[
        container(ports=[{"containerPort": 8080, "name": "http"}, {"containerPort": 9090, "protocol": "TCP"}, {"containerPort": 8080, "protocol": "UDP", "name": "quic"}],
                  env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}, {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
                  envFrom=[{"configMapRef": {"name": "one"}}], args=["--a", "--b"],
                  resources={"requests": {"cpu": "0.5", "memory": "1024Mi"}, "limits": {"cpu": 2, "memory": "2Gi"}},
                  readinessProbe={"httpGet": {"path": "/ready", "port": "http"}}, livenessProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 5},
                  securityContext={"runAsNonRoot": True, "capabilities": {"drop": ["ALL"]}},
                  volumeMounts=[{"name": "config", "mountPath": "/config"}, {"name": "tmp", "mountPath": "/tmp", "readOnly": False}]),
        container("side", "side", imagePullPolicy="Always")],
        template={"volumes": [{"name": "config", "configMap": {"name": "one"}}, {"name": "tmp", "emptyDir": {}}, {"name": "bare"},
                              {"name": "both", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}, {"configMap": {"name": "one"}}]}},
                              {"name": "secret", "secret": {"secretName": "s", "items": [{"key": "a", "path": "b"}]}}, {"name": "host", "hostPath": {"path": "/x"}}],
                  "initContainers": [container("init", "registry.test/init@sha256:" + "a" * 64)], "serviceAccountName": "runner", "imagePullSecrets": [{"name": "pull"}],
                  "tolerations": [{"key": "a", "operator": "Exists"}], "nodeSelector": {"disk": "ssd"}, "hostAliases": [{"ip": "1.2.3.4", "hostnames": ["h"]}],
                  "topologySpreadConstraints": [{"topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "maxSkew": 1, "labelSelector": {"matchLabels": {"app": "rich"}}}],
                  "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": {"topologyKey": "x"}}]}},
                  "securityContext": {"fsGroup": 1}, "terminationGracePeriodSeconds": 5},
        labels={"app": "rich"}, annotations={"fluxcd.io/automated": "true"}, strategy={"rollingUpdate": {"maxSurge": 1}}, minReadySeconds=0)
    yield apply("deployment: rich, applied", rich)
    yield apply("deployment: rich, the same", rich)
    yield PAUSE
    yield apply("deployment: rich, the same later", rich)
    image = copy.deepcopy(rich)
    image["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.test/web:2.0.0"
    yield apply("deployment: rich, image", image)
    less = copy.deepcopy(image)
    pod = less["spec"]["template"]["spec"]
    pod["containers"][0]["env"] = [{"name": "C", "value": "3"}, {"name": "A", "value": "1"}]
    del pod["containers"][1], pod["containers"][0]["resources"], pod["containers"][0]["readinessProbe"], pod["initContainers"], pod["affinity"]
    pod["containers"][0]["ports"] = pod["containers"][0]["ports"][1:]
    pod["volumes"] = pod["volumes"][1:2]
    pod["containers"][0]["volumeMounts"] = pod["containers"][0]["volumeMounts"][1:]
    del less["spec"]["replicas"]
    yield apply("deployment: rich, much less", less)
    yield merge("deployment: rich, scaled", ref(rich), {"spec": {"replicas": 6}})
    yield apply("deployment: rich, scaled by another is kept", less)
    yield apply("deployment: rich, containers in another order", deployment("rich", containers=[container("new", "n:1"), container(image="registry.test/web:2.0.0")]))
    yield apply("deployment: rich, partial by a second", item(APPS, "Deployment", "rich", {"spec": {"template": {"metadata": {"annotations": {"second": "yes"}}, "spec": {"containers": [{"name": "web", "env": [{"name": "SECOND", "value": "x"}]}]}}}}), manager="second")
    yield apply("deployment: rich, the second gives up", item(APPS, "Deployment", "rich"), manager="second")
    yield apply("deployment: rich, status ignored", item(APPS, "Deployment", "rich", {"status": {"replicas": 3}}), manager="second")
    yield apply("deployment: rich, status applied", item(APPS, "Deployment", "rich", {"status": {"replicas": 3, "conditions": [{"type": "Ok", "status": "True"}]}}), manager="second", subresource="status")
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": rich["metadata"] | {"labels": None, "annotations": None}, "spec": {"replicas": 9}}
    target = {"apiVersion": APPS, "kind": "Deployment", "metadata": {"name": "rich", "namespace": NAMESPACE}, "spec": {"replicas": 9}}
    yield apply("deployment: rich, scale applied, conflicts", target, manager="second", subresource="scale", refused=True, body=scale)
    yield apply("deployment: rich, scale forced", target, manager="second", subresource="scale", force=True, body=scale)
    yield apply("deployment: rich, scale applied again", target, manager="second", subresource="scale", body=scale)
    yield apply("deployment: unknown field", deployment("typo", replica=3), refused=True)
    yield apply("deployment: wrong type", deployment("typo", replicas="3"), refused=True)
    yield apply("deployment: same container twice", deployment("typo", containers=[container(), container()]), refused=True)
    yield create("deployment: unknown and null fields dropped", deployment("nulls", unknown={"a": 1}, replicas=None, minReadySeconds=0, template={"nodeSelector": {}, "volumes": [], "hostNetwork": False, "dnsPolicy": ""}))
    yield create("deployment: same env twice", deployment("twice", containers=[container(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}])]))
    yield merge("deployment: same env no longer twice", ref(deployment("twice")), {"spec": {"template": {"spec": {"containers": [container(env=[{"name": "A", "value": "2"}])]}}}})
    yield merge("deployment: again twice", ref(deployment("twice")), {"spec": {"template": {"spec": {"containers": [container(env=[{"name": "A", "value": "2"}, {"name": "A", "value": "3"}])]}}}}, manager="bob")


def workloads():
    for kind, more in (("ReplicaSet", {"replicas": 2}), ("DaemonSet", {}), ("StatefulSet", {"serviceName": "web"})):
        obj = item(APPS, kind, "web", deployment()["spec"] and {"spec": deployment()["spec"] | more})
        yield create(f"{kind}: minimal", obj)
        yield apply(f"{kind}: applied", obj)
        yield merge(f"{kind}: image", ref(obj), {"spec": {"template": {"spec": {"containers": [container(image="x:2")]}}}})
        yield merge(f"{kind}: status", ref(obj), {"status": {"observedGeneration": 1}}, subresource="status", manager="controller")
    claims = item(APPS, "StatefulSet", "claims", {"spec": deployment("claims")["spec"] | {"volumeClaimTemplates": [
        {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]}})
    yield create("StatefulSet: claims", claims)
    job = item("batch/v1", "Job", "job", {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container()]}}, "suspend": True}})
    yield create("job", job)
    yield merge("job: resumed", ref(job), {"spec": {"suspend": False}})
    hpa = item("autoscaling/v2", "HorizontalPodAutoscaler", "web", {"spec": {"scaleTargetRef": {"apiVersion": APPS, "kind": "Deployment", "name": "web"}, "minReplicas": 2, "maxReplicas": 4,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]}})
    yield create("hpa", hpa)
    yield merge("hpa: bounds", ref(hpa), {"spec": {"maxReplicas": 8}})
    yield apply("hpa: applied", hpa, refused=True)
    yield apply("hpa: forced", hpa, force=True)
    yield merge("hpa: behavior", ref(hpa), {"spec": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}}}})
    yield apply("hpa: applied beside behavior", hpa)
    yield merge("hpa: status", ref(hpa), {"status": {"currentReplicas": 2, "desiredReplicas": 2}}, subresource="status", manager="controller")
    yield create("hpa: minimal", item("autoscaling/v2", "HorizontalPodAutoscaler", "bare", {"spec": {"scaleTargetRef": {"apiVersion": APPS, "kind": "Deployment", "name": "web"}, "maxReplicas": 4}}))


def others():
    pod = item(CORE, "Pod", "pod", {"spec": {"containers": [container(resources={"limits": {"cpu": "1500m"}}, ports=[{"containerPort": 80}])], "serviceAccountName": "runner", "automountServiceAccountToken": False, "hostNetwork": True}})
    yield create("pod", pod)
    yield merge("pod: status", ref(pod), {"status": {"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}], "conditions": [{"type": "Ready", "status": "True"}]}}, subresource="status", manager="kubelet")
    yield merge("pod: label", ref(pod), {"metadata": {"labels": {"a": "b"}}})
    yield create("event", item(CORE, "Event", "e", {"involvedObject": {"kind": "ConfigMap", "name": "one", "namespace": NAMESPACE}, "reason": "Seen", "message": "m", "type": "Normal", "source": {"component": "me"}, "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:00Z", "count": 1}))
    yield merge("event: again", ref(item(CORE, "Event", "e")), {"count": 2, "lastTimestamp": "2026-01-01T00:00:05Z"})
    yield create("endpoints", item(CORE, "Endpoints", "ep", {"subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]}))
    yield create("endpointslice", item("discovery.k8s.io/v1", "EndpointSlice", "es", {"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": True}}], "ports": [{"port": 80}]}))
    yield create("podtemplate", item(CORE, "PodTemplate", "pt", {"template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container()]}}}))
    lease = item("coordination.k8s.io/v1", "Lease", "lease", {"spec": {"holderIdentity": "a", "leaseDurationSeconds": 15, "renewTime": "2026-01-01T00:00:00.000000Z"}})
    yield create("lease", lease)
    yield put("lease: renewed", ref(lease), lambda o: o["spec"].update(renewTime="2026-01-01T00:00:05.000000Z"), manager="alice")
    yield put("lease: taken", ref(lease), lambda o: o["spec"].update(holderIdentity="b", leaseTransitions=1))
    budget = item("policy/v1", "PodDisruptionBudget", "pdb", {"spec": {"minAvailable": "50%", "selector": {"matchLabels": {"app": "web"}}}})
    yield apply("pdb", budget)
    yield merge("pdb: status", ref(budget), {"status": {"currentHealthy": 1, "desiredHealthy": 1, "disruptionsAllowed": 0, "expectedPods": 1}}, subresource="status", manager="controller")
    yield apply("pdb: minAvailable is a number", item("policy/v1", "PodDisruptionBudget", "pdb", {"spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}}))
    ingress = item("networking.k8s.io/v1", "Ingress", "ing", {"spec": {"rules": [{"host": "a.example.com", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}], "tls": [{"hosts": ["a.example.com"], "secretName": "t"}]}})
    yield apply("ingress", ingress)
    yield merge("ingress: class", ref(ingress), {"spec": {"ingressClassName": "nginx"}})
    policy = item("networking.k8s.io/v1", "NetworkPolicy", "np", {"spec": {"podSelector": {}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"a": "b"}}}], "ports": [{"port": 80}]}], "egress": [{}]}})
    yield apply("networkpolicy", policy)
    yield PAUSE
    yield apply("networkpolicy again", policy)
    role = item("rbac.authorization.k8s.io/v1", "Role", "r", {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]})
    yield apply("role", role)
    yield create("role without rules", item("rbac.authorization.k8s.io/v1", "Role", "empty"))
    binding = item("rbac.authorization.k8s.io/v1", "RoleBinding", "r", {"subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "runner", "namespace": NAMESPACE}], "roleRef": {"kind": "Role", "name": "r", "apiGroup": "rbac.authorization.k8s.io"}})
    yield create("rolebinding", binding)
    yield PAUSE
    yield apply("rolebinding applied", binding, refused=True)
    yield apply("rolebinding forced", binding, force=True)
    yield PAUSE
    yield apply("rolebinding applied again", binding)
    cluster = without(item("rbac.authorization.k8s.io/v1", "ClusterRole", "contract", {"rules": [{"nonResourceURLs": ["/x"], "verbs": ["get"]}]}), "metadata", "namespace")
    yield apply("clusterrole", cluster)
    yield apply("clusterrole: rules removed", without(cluster, "rules"))
    yield create("clusterrolebinding", without(item("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "contract", {"roleRef": {"kind": "ClusterRole", "name": "contract", "apiGroup": "rbac.authorization.k8s.io"}}), "metadata", "namespace"))


def definition(plural, kind, properties, group="example.com", status=True, required=None, **more):
    schema = {"type": "object", "properties": properties} | ({"required": required} if required else {}) | more
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    if status:
        version["subresources"] = {"status": {}}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"{plural}.{group}"},
            "spec": {"group": group, "scope": "Namespaced", "names": {"plural": plural, "kind": kind}, "versions": [version]}}


TEXT, NUMBER = {"type": "string"}, {"type": "integer"}
WIDGET = {
    "spec": {"type": "object", "required": ["size"], "properties": {
        "size": NUMBER | {"minimum": 1, "maximum": 10},
        "color": TEXT | {"enum": ["red", "green"], "default": "red"},
        "name": TEXT | {"pattern": "^[a-z]+$", "minLength": 2, "maxLength": 5},
        "ratio": {"type": "number"},
        "port": {"x-kubernetes-int-or-string": True},
        "enabled": {"type": "boolean"},
        "maybe": TEXT | {"nullable": True},
        "granular": {"type": "object", "additionalProperties": TEXT, "maxProperties": 3},
        "atomic": {"type": "object", "additionalProperties": TEXT, "x-kubernetes-map-type": "atomic"},
        "block": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": {"a": TEXT, "b": TEXT | {"default": "beh"}}},
        "plain": {"type": "array", "items": TEXT, "maxItems": 3, "minItems": 1},
        "tags": {"type": "array", "items": TEXT, "x-kubernetes-list-type": "set"},
        "parts": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": {"type": "object", "required": ["name"], "properties": {
            "name": TEXT, "weight": NUMBER | {"default": 1}, "labels": {"type": "object", "additionalProperties": TEXT}}}},
        "ends": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "protocol"], "items": {"type": "object", "required": ["port"], "properties": {
            "port": NUMBER, "protocol": TEXT | {"default": "TCP"}, "note": TEXT}}},
        "nested": {"type": "object", "default": {}, "properties": {"depth": NUMBER | {"default": 3}, "inner": {"type": "object", "properties": {"x": TEXT | {"default": "ix"}}}}},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"known": {"type": "object", "properties": {"k": TEXT}}}},
        "anything": {"x-kubernetes-preserve-unknown-fields": True},
    }},
    "status": {"type": "object", "properties": {"phase": TEXT, "count": NUMBER, "conditions": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
        "items": {"type": "object", "required": ["type"], "properties": {"type": TEXT, "status": TEXT}}}}},
}
ROUTE = {"spec": {"type": "object", "properties": {"hosts": {"type": "array", "items": TEXT}, "gateways": {"type": "array", "items": TEXT},
    "http": {"type": "array", "items": {"type": "object", "properties": {"name": TEXT, "match": {"type": "array", "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
        "route": {"type": "array", "items": {"type": "object", "required": ["destination"], "properties": {"weight": NUMBER, "destination": {"type": "object", "required": ["host"], "properties": {"host": TEXT}}}}}}}}}},
    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
CANARY = {"spec": {"type": "object", "required": ["targetRef", "analysis"], "properties": {
        "targetRef": {"type": "object", "required": ["apiVersion", "kind", "name"], "properties": {"apiVersion": TEXT, "kind": TEXT | {"enum": ["Deployment", "DaemonSet"]}, "name": TEXT}},
        "progressDeadlineSeconds": {"type": "number"}, "skipAnalysis": {"type": "boolean"}, "suspend": {"type": "boolean"},
        "service": {"type": "object", "properties": {"port": NUMBER, "targetPort": {"x-kubernetes-int-or-string": True}, "hosts": {"type": "array", "items": TEXT}}},
        "analysis": {"type": "object", "properties": {"interval": TEXT | {"pattern": "^[0-9]+(m|s)"}, "threshold": {"type": "number"}, "maxWeight": {"type": "number"}, "stepWeight": {"type": "number"},
            "metrics": {"type": "array", "items": {"type": "object", "required": ["name"], "properties": {"name": TEXT, "thresholdRange": {"type": "object", "properties": {"min": {"type": "number"}, "max": {"type": "number"}}}}}}}}}},
    "status": {"type": "object", "properties": {"phase": TEXT | {"enum": ["", "Initialized", "Progressing", "Succeeded"]}, "failedChecks": {"type": "number"}, "canaryWeight": {"type": "number"}, "lastTransitionTime": {"type": "string", "format": "date-time"},
        "trackedConfigs": {"type": "object", "additionalProperties": TEXT}, "conditions": {"type": "array", "items": {"type": "object", "required": ["type", "status"], "properties": {"type": TEXT, "status": TEXT, "reason": TEXT}}}}}}


def widget(name, spec, **more):
    return item("example.com/v1", "Widget", name, {"spec": spec} | more)


def customs():
    yield create("crd: widgets", definition("widgets", "Widget", WIDGET))
    yield apply("crd: routes", definition("routes", "Route", ROUTE))
    yield create("crd: canaries", definition("canaries", "Canary", CANARY))
    yield create("crd: loose", definition("looses", "Loose", {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}, status=False))
    yield merge("crd: a short name", ref(definition("looses", "Loose", {})), {"spec": {"names": {"shortNames": ["lo"]}}})
    one = widget("one", {"size": 1, "unknown": {"x": 1}, "granular": {"a": "1"}, "parts": [{"name": "p"}], "ends": [{"port": 1}, {"port": 1, "protocol": "UDP"}], "port": "http", "nested": {"inner": {}},
                         "free": {"deep": {"list": [{"a": 1}], "x": 1}, "known": {"k": "v", "u": 1}}, "anything": [1, {"a": None}], "ratio": 1.5, "color": None, "maybe": None, "block": {"a": "1"}}, status={"phase": "no"}, top="x")
    yield create("widget: defaults and pruning", one)
    yield merge("widget: nothing", ref(one), {"spec": {"size": 1}})
    yield merge("widget: ratio is equal", ref(one), {"spec": {"ratio": 1.5}})
    yield merge("widget: scalar fields", ref(one), {"spec": {"size": 2, "port": 80, "enabled": False, "maybe": "yes"}})
    yield merge("widget: maps", ref(one), {"spec": {"granular": {"b": "2"}, "atomic": {"x": "1"}, "block": {"a": "2"}}})
    yield merge("widget: maps again", ref(one), {"spec": {"granular": {"a": None}, "atomic": {"y": "1"}}}, manager="bob")
    yield merge("widget: map emptied", ref(one), {"spec": {"granular": {"b": None}, "atomic": {"x": None, "y": None}}})
    yield merge("widget: lists", ref(one), {"spec": {"plain": ["a", "b"], "tags": ["t", "u"], "parts": [{"name": "q", "weight": 3}, {"name": "p", "labels": {"a": "b"}}]}})
    yield merge("widget: lists again", ref(one), {"spec": {"plain": ["a"], "tags": ["u", "v"], "parts": [{"name": "p", "labels": {"a": "c"}}]}}, manager="bob")
    yield merge("widget: lists emptied", ref(one), {"spec": {"tags": [], "parts": []}})
    yield merge("widget: free fields", ref(one), {"spec": {"free": {"deep": {"x": 2, "y": {}}}, "anything": {"a": {"b": 1}}}})
    yield merge("widget: status", ref(one), {"status": {"phase": "Ready", "conditions": [{"type": "A", "status": "True"}]}}, subresource="status", manager="controller")
    yield merge("widget: status through the object is not taken", ref(one), {"status": {"phase": "No"}, "spec": {"size": 3}})
    yield merge("widget: the object through status is not taken", ref(one), {"status": {"count": 1}, "spec": {"size": 4}, "metadata": {"labels": {"a": "b"}}}, subresource="status", manager="controller")
    yield PAUSE
    two = widget("two", {"size": 1, "granular": {"a": "1", "b": "2"}, "atomic": {"a": "1"}, "tags": ["a", "b"], "plain": ["x"], "parts": [{"name": "p", "weight": 2, "labels": {"l": "1"}}, {"name": "q"}], "ends": [{"port": 10}, {"port": 9, "note": "n"}],
                         "free": {"a": {"b": 1, "c": 2}, "l": [1]}, "anything": "text", "port": 80, "maybe": None, "block": {"a": "x"}})
    yield apply("widget: applied", two)
    yield apply("widget: applied again", two)
    yield PAUSE
    yield apply("widget: applied later", two)
    yield apply("widget: a second adds", widget("two", {"size": 1, "granular": {"c": "3"}, "tags": ["c", "a"], "parts": [{"name": "r", "weight": 5}, {"name": "p", "labels": {"m": "2"}}], "free": {"a": {"d": 3}}}), manager="second")
    yield apply("widget: the first again", two)
    yield PAUSE
    yield apply("widget: the first again, later than the second", two)
    yield PAUSE
    yield apply("widget: the first once more, now the latest", two)
    yield apply("widget: the first gives up much", widget("two", {"size": 1, "parts": [{"name": "q"}], "tags": ["b"]}))
    yield apply("widget: the second gives up all", item("example.com/v1", "Widget", "two", {}), manager="second")
    yield apply("widget: the first has no parts", widget("two", {"size": 1}))
    yield apply("widget: atomic map conflicts", widget("two", {"size": 2, "atomic": {"z": "1"}}), manager="third", refused=True)
    yield apply("widget: atomic map forced", widget("two", {"size": 2, "atomic": {"z": "1"}}), manager="third", force=True)
    yield apply("widget: unknown field", widget("two", {"size": 2, "what": 1}), manager="third", refused=True)
    yield apply("widget: status applied", item("example.com/v1", "Widget", "two", {"status": {"phase": "P", "conditions": [{"type": "A"}]}}), manager="third", subresource="status")
    yield apply("widget: status applied again", item("example.com/v1", "Widget", "two", {"status": {"conditions": [{"type": "B"}]}}), manager="third", subresource="status")
    yield apply("widget: same tag twice", widget("two", {"size": 2, "tags": ["a", "a"]}), manager="third", refused=True)
    yield apply("widget: same part twice", widget("two", {"size": 2, "parts": [{"name": "a"}, {"name": "a"}]}), manager="third", refused=True)
    yield apply("widget: wrong type", widget("two", {"size": "x"}), manager="third", refused=True)
    yield apply("widget: order, four", widget("order", {"size": 1, "tags": ["a", "b", "c", "d"], "parts": [{"name": "p"}, {"name": "q"}, {"name": "r"}]}))
    yield apply("widget: order, two the other way round", widget("order", {"size": 1, "tags": ["c", "a"], "parts": [{"name": "r"}, {"name": "n"}, {"name": "p"}]}), manager="second")
    yield apply("widget: order, shared and new mixed", widget("order", {"size": 1, "tags": ["d", "x", "b", "y", "a"], "parts": [{"name": "q"}, {"name": "m"}, {"name": "n"}]}), manager="third")
    yield apply("widget: order, the first again", widget("order", {"size": 1, "tags": ["a", "b", "c", "d"], "parts": [{"name": "p"}, {"name": "q"}, {"name": "r"}]}))
    loose = item("example.com/v1", "Loose", "l", {"spec": {"a": {"b": [1, 2], "c": {}}, "n": None}, "status": {"x": 1}})
    yield create("loose", loose)
    yield merge("loose: changed", ref(loose), {"spec": {"a": {"c": {"d": 1}}, "e": 1}})
    yield apply("loose: applied", item("example.com/v1", "Loose", "l", {"spec": {"a": {"b": [3]}, "z": {"y": {"x": 1}}}}), refused=True)
    yield apply("loose: forced", item("example.com/v1", "Loose", "l", {"spec": {"a": {"b": [3]}, "z": {"y": {"x": 1}}}}), force=True)
    yield apply("loose: less", item("example.com/v1", "Loose", "l", {"spec": {"z": {}}}))

    def route(primary, canary, **more):
        return item("example.com/v1", "Route", "web", {"spec": {"hosts": ["web.example.com"], "gateways": ["mesh"], "http": [
            {"match": [{"headers": {"x": {"exact": "1"}}}], "route": [{"destination": {"host": "web-primary"}, "weight": primary}, {"destination": {"host": "web-canary"}, "weight": canary}]}]} | more})
    yield create("route", route(100, 0), manager="flagger")
    yield put("route: weights", route(0, 0), lambda o: o["spec"].update(route(90, 10)["spec"]), manager="flagger")
    yield PAUSE
    yield put("route: weights again", route(0, 0), lambda o: o["spec"].update(route(80, 20)["spec"]), manager="flagger")
    yield apply("route: applied", route(100, 0), refused=True)
    yield apply("route: forced", route(100, 0), force=True)
    yield merge("route: weights by merge patch", ref(route(0, 0)), {"spec": {"http": route(50, 50)["spec"]["http"]}}, manager="flagger")
    yield merge("route: hosts", ref(route(0, 0)), {"spec": {"hosts": ["web.example.com", "b"]}})
    yield merge("route: status", ref(route(0, 0)), {"status": {"validationMessages": [{"type": 1}], "observed": {"a": 1}}}, subresource="status", manager="controller")
    canary = item("example.com/v1", "Canary", "web", {"spec": {"targetRef": {"apiVersion": APPS, "kind": "Deployment", "name": "web"}, "progressDeadlineSeconds": 60, "service": {"port": 80, "targetPort": "http", "hosts": ["a"]},
        "analysis": {"interval": "10s", "threshold": 2, "maxWeight": 50, "stepWeight": 10, "metrics": [{"name": "rate", "thresholdRange": {"min": 99}}]}}}, labels={"app": "web"})
    yield apply("canary", canary)
    yield merge("canary: status", ref(canary), {"status": {"phase": "Initialized", "failedChecks": 0, "canaryWeight": 0, "conditions": [{"type": "Promoted", "status": "Unknown"}]}}, subresource="status", manager="flagger")
    yield PAUSE
    yield put("canary: status by put", ref(canary), lambda o: o["status"].update(phase="Progressing", canaryWeight=10, trackedConfigs={"a": "b"}), subresource="status", manager="flagger")
    yield apply("canary: analysis", item("example.com/v1", "Canary", "web", {"spec": canary["spec"] | {"analysis": {"interval": "1m", "threshold": 5}}}))
    yield merge("canary: suspended", ref(canary), {"spec": {"suspend": True}}, manager="console")
    yield merge("canary: threshold is 5.0", ref(canary), {"spec": {"analysis": {"threshold": 5.0}}}, manager="console")
    yield merge("canary: annotation and finalizer", ref(canary), {"metadata": {"annotations": {"pilothouse.dev/claim": "x"}, "finalizers": ["finalizer.flagger.app"]}}, manager="flagger")
    yield apply("canary: applied after all", canary, force=True)


def refusals():
    def refuse(name, obj):
        return create("refused: " + name, obj, refused=True)
    yield refuse("deployment without anything", item(APPS, "Deployment", "bad"))
    yield refuse("deployment, selector does not match", deployment("bad", selector={"matchLabels": {"other": "x"}}))
    yield refuse("deployment, no image", deployment("bad", containers=[{"name": "web"}]))
    yield refuse("deployment, names", deployment("bad", containers=[container("Web_1"), container("b"), container("b"), {"image": "x"}]))
    yield refuse("deployment, replicas", deployment("bad", replicas=-1))
    yield refuse("deployment, bad name", deployment("Bad_Name"))
    yield refuse("deployment, labels", deployment("bad", labels={"bad key": "v", "ok": "bad value!", "a/b/c": "x"}))
    yield refuse("deployment, long label", deployment("bad", labels={"ok": "x" * 64}))
    yield refuse("deployment, ports", deployment("bad", containers=[container(ports=[{"containerPort": 0}, {"containerPort": 70000}])]))
    yield refuse("deployment, restart policy", deployment("bad", template={"restartPolicy": "Never"}))
    yield refuse("deployment, empty selector", deployment("bad", selector={}))
    yield refuse("deployment, volume mount", deployment("bad", containers=[container(volumeMounts=[{"name": "gone", "mountPath": "/x"}])]))
    yield merge("refused: deployment, selector is immutable", ref(deployment("web")), {"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}}}}, refused=True)
    yield refuse("service without ports", item(CORE, "Service", "bad", {"spec": {"selector": {"a": "b"}}}))
    yield refuse("service, port range", item(CORE, "Service", "bad", {"spec": {"ports": [{"port": 0}]}}))
    yield refuse("service, two ports without names", item(CORE, "Service", "bad", {"spec": {"ports": [{"port": 80}, {"port": 81}]}}))
    yield refuse("service, same names and ports", item(CORE, "Service", "bad", {"spec": {"ports": [{"port": 80, "name": "a"}, {"port": 80, "name": "a"}]}}))
    yield refuse("service, type", item(CORE, "Service", "bad", {"spec": {"type": "Nothing", "ports": [{"port": 80}]}}))
    yield refuse("configmap, key", item(CORE, "ConfigMap", "bad", {"data": {"bad key": "x"}}))
    yield refuse("configmap, name", item(CORE, "ConfigMap", "Bad"))
    yield refuse("configmap, annotations", item(CORE, "ConfigMap", "bad", annotations={"bad key": "x"}))
    yield refuse("hpa", item("autoscaling/v2", "HorizontalPodAutoscaler", "bad", {"spec": {"scaleTargetRef": {"kind": "", "name": ""}, "minReplicas": 5, "maxReplicas": 3}}))
    yield refuse("hpa, no maximum", item("autoscaling/v2", "HorizontalPodAutoscaler", "bad", {"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "x"}}}))
    yield refuse("role, rules", item("rbac.authorization.k8s.io/v1", "Role", "bad", {"rules": [{"apiGroups": [""], "resources": ["pods"]}]}))
    yield refuse("binding, no role", item("rbac.authorization.k8s.io/v1", "RoleBinding", "bad", {"roleRef": {"kind": "Role", "name": ""}}))
    yield refuse("service, name", item(CORE, "Service", "Bad", {"spec": {"ports": [{"port": 80}]}}))
    yield refuse("service, name with a dot", item(CORE, "Service", "a.b", {"spec": {"ports": [{"port": 80}]}}))
    yield refuse("service, target port and protocol", item(CORE, "Service", "bad", {"spec": {"ports": [{"port": 80, "name": "A", "targetPort": "no_name", "protocol": "ICMP"}, {"port": 81, "name": "b", "targetPort": 70000}]}}))
    yield refuse("service, selector", item(CORE, "Service", "bad", {"spec": {"selector": {"a": "b c"}, "ports": [{"port": 80}]}}))
    yield merge("refused: service, address changes", ref(item(CORE, "Service", "headless")), {"spec": {"clusterIP": "10.0.0.77", "clusterIPs": ["10.0.0.77"]}}, refused=True)
    yield refuse("namespace, name", without(item(CORE, "Namespace", "a.b"), "metadata") | {"metadata": {"name": "a.b"}})
    yield refuse("configmap, long name", item(CORE, "ConfigMap", "x" * 254))
    yield refuse("configmap, key in both", item(CORE, "ConfigMap", "bad", {"data": {"a": "x"}, "binaryData": {"a": "AAEC"}}))
    yield refuse("configmap, prefix of a label", item(CORE, "ConfigMap", "bad", labels={"Bad_/x": "", "/x": "", "a/": ""}))
    yield refuse("configmap, finalizer and owner", item(CORE, "ConfigMap", "bad", finalizers=["plain"], ownerReferences=[{"apiVersion": "v1", "kind": "", "name": "", "uid": ""}]))
    yield create("configmap: immutable", item(CORE, "ConfigMap", "fixed", {"immutable": True, "data": {"a": "1"}}))
    yield merge("refused: configmap, immutable", ref(item(CORE, "ConfigMap", "fixed")), {"data": {"a": "2"}}, refused=True)
    yield merge("refused: configmap, no longer immutable", ref(item(CORE, "ConfigMap", "fixed")), {"immutable": None}, refused=True)
    yield merge("refused: secret, type", ref(item(CORE, "Secret", "s")), {"type": "example.com/other"}, refused=True)
    yield refuse("role, name", item("rbac.authorization.k8s.io/v1", "Role", "a/b"))
    yield refuse("role, resources", item("rbac.authorization.k8s.io/v1", "Role", "bad", {"rules": [{"verbs": ["get"], "resources": ["pods"]}, {"verbs": ["get"], "apiGroups": [""]}, {"verbs": ["get"], "nonResourceURLs": ["/x"]}]}))
    yield merge("refused: binding, another role", ref(item("rbac.authorization.k8s.io/v1", "RoleBinding", "r")), {"roleRef": {"name": "other"}}, refused=True)
    yield refuse("binding, subjects", item("rbac.authorization.k8s.io/v1", "RoleBinding", "bad", {"roleRef": {"kind": "Nothing", "name": "x"}, "subjects": [{"kind": "User", "name": ""}, {"kind": "ServiceAccount", "name": "x"}, {"kind": "Other", "name": "x"}]}))
    for kind in ("ReplicaSet", "DaemonSet", "StatefulSet"):
        more = {} if kind == "DaemonSet" else {"replicas": -1}
        yield refuse(f"{kind}, selector does not match", item(APPS, kind, "bad", {"spec": deployment("bad", selector={"matchLabels": {"x": "y"}})["spec"] | more}))
        yield merge(f"refused: {kind}, selector is immutable", ref(item(APPS, kind, "web")), {"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}}}}, refused=True)
    yield refuse("job, restart policy", item("batch/v1", "Job", "bad", {"spec": {"template": {"spec": {"containers": [container()]}}}}))
    yield refuse("job, numbers", item("batch/v1", "Job", "bad", {"spec": {"parallelism": -1, "backoffLimit": -1, "completions": -1, "template": {"spec": {"restartPolicy": "Never", "containers": [container()]}}}}))
    yield refuse("deployment, containers", deployment("bad", containers=[container(env=[{"name": ""}, {"name": "a=b"}, {"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}], ports=[{"containerPort": 1, "name": "Not_ok"}, {"containerPort": 2, "name": "same"}, {"containerPort": 3, "name": "same"}, {"containerPort": 4, "protocol": "X"}], imagePullPolicy="Sometimes", volumeMounts=[{"name": "", "mountPath": ""}], image=" x")]))
    yield refuse("deployment, volumes", deployment("bad", template={"volumes": [{"name": "a", "emptyDir": {}}, {"name": "a", "emptyDir": {}}, {"name": "B_", "emptyDir": {}}, {"name": "c", "configMap": {}}, {"name": "d", "secret": {}}]}))
    yield refuse("deployment, requests above limits", deployment("bad", containers=[container(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}})]))
    yield refuse("deployment, numbers", deployment("bad", minReadySeconds=-1, revisionHistoryLimit=-1, progressDeadlineSeconds=0))
    yield refuse("deployment, strategy", deployment("bad", strategy={"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}))
    yield refuse("deployment, strategy Recreate", deployment("bad", strategy={"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}))
    yield refuse("deployment, strategy of no kind", deployment("bad", strategy={"type": "Blue"}))
    yield refuse("deployment, probe", deployment("bad", containers=[container(readinessProbe={}, livenessProbe={"httpGet": {"port": 0}, "periodSeconds": -1})]))
    yield refuse("deployment, template labels", deployment("bad", selector={"matchLabels": {"a": "b c"}}))
    yield refuse("hpa, no minimum", item("autoscaling/v2", "HorizontalPodAutoscaler", "bad", {"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "x", "apiVersion": APPS}, "minReplicas": 0, "maxReplicas": 3}}))
    yield refuse("pdb, both", item("policy/v1", "PodDisruptionBudget", "bad", {"spec": {"minAvailable": 1, "maxUnavailable": 1}}))
    yield refuse("lease, duration", item("coordination.k8s.io/v1", "Lease", "bad", {"spec": {"leaseDurationSeconds": 0, "leaseTransitions": -1}}))
    yield refuse("ingress, paths", item("networking.k8s.io/v1", "Ingress", "bad", {"spec": {"rules": [{"http": {"paths": [{"path": "x", "backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}]}}))
    yield refuse("ingress, nothing", item("networking.k8s.io/v1", "Ingress", "bad", {"spec": {}}))
    yield refuse("crd, name", definition("things", "Thing", {}) | {"metadata": {"name": "other.example.com"}})
    yield refuse("widget, name and labels", widget("bad", {"size": 1}) | {"metadata": {"name": "Bad", "namespace": NAMESPACE, "labels": {"a": "b c"}}})
    yield refuse("widget, several together", widget("bad", {"size": 11, "tags": ["a", "a"], "color": "blue"}) | {"metadata": {"name": "bad", "namespace": NAMESPACE, "labels": {"a": "b c"}}})
    yield refuse("widget, spec is text", item("example.com/v1", "Widget", "bad", {"spec": "text"}))
    yield refuse("widget, no spec fields", widget("bad", {}))
    yield refuse("widget, bounds", widget("bad", {"size": 0, "name": "A", "plain": [], "granular": {"a": "", "b": "", "c": "", "d": ""}}))
    yield refuse("widget, upper bounds", widget("bad", {"size": 11, "name": "toolong", "plain": ["1", "2", "3", "4"]}))
    yield refuse("widget, enum", widget("bad", {"size": 1, "color": "blue"}))
    yield refuse("widget, types", widget("bad", {"size": "1", "name": 5, "enabled": "yes", "ratio": "x", "granular": [], "plain": {}, "port": 1.5}))
    yield refuse("widget, fraction", widget("bad", {"size": 1.5}))
    yield refuse("widget, items", widget("bad", {"size": 1, "plain": ["a", 1], "granular": {"a": 1}, "parts": [{"weight": 1}]}))
    yield refuse("widget, same twice", widget("bad", {"size": 1, "tags": ["a", "b", "a"], "parts": [{"name": "a"}, {"name": "a"}], "ends": [{"port": 1}, {"port": 1, "protocol": "TCP"}]}))
    yield refuse("widget, null", widget("bad", {"size": None}))
    yield refuse("canary, incomplete", item("example.com/v1", "Canary", "bad", {"spec": {"targetRef": {"kind": "Job", "name": "x"}, "analysis": {"interval": "fast"}}}))
    yield merge("refused: canary, phase", ref(item("example.com/v1", "Canary", "web")), {"status": {"phase": "Nowhere"}}, subresource="status", refused=True)


def steps():
    for heading in (namespaces, configmaps, secrets, serviceaccounts, services, deployments, workloads, others, customs, refusals):
        for one in heading():
            if not one.get("skip"):
                yield one
