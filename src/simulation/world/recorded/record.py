"""Records what the real Deployment and ReplicaSet controllers write, for the tests of the Deployment controller here.

  python3 record.py SERVER TOKEN OUT.json      against a fresh cluster of tests/cluster/bed.py

Every scenario is played several times, each time in a namespace of its own. A status is one line: generation, revision,
the counts, then the conditions in their order. Of the runs of a step the different ones are kept, as numbers of lines. ReplicaSets are given
as they stand in the end. Times, hashes and the generations of ReplicaSets are left out.
"""
import http.client
import json
import ssl
import sys
import threading
import time
import urllib.parse

SERVER, TOKEN, OUT = sys.argv[1:4]
RUNS = 6
HOST = urllib.parse.urlparse(SERVER).netloc
CONTEXT = ssl._create_unverified_context()
HEADERS = {"Authorization": "Bearer " + TOKEN, "Accept": "application/json"}


def call(method, path, body=None, kind="application/json"):
    connection = http.client.HTTPSConnection(HOST, timeout=10, context=CONTEXT)
    connection.request(method, path, None if body is None else json.dumps(body), HEADERS | {"Content-Type": kind})
    answer = json.loads(connection.getresponse().read())
    if answer.get("kind") == "Status" and answer.get("status") == "Failure":
        raise RuntimeError(f"{method} {path}: {answer}")
    return answer


def deployment(replicas, image="podinfo:6.0.0", kind=None, **spec):
    labels = {"app": "web"} | ({"bed.pilothouse.dev/pod": kind} if kind else {})
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": image}]}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template} | spec}


def image(tag):
    return {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "podinfo:" + tag}]}}}}


def pods(kind):
    return {"spec": {"template": {"metadata": {"labels": {"bed.pilothouse.dev/pod": kind}}}}}


RECREATE = {"strategy": {"type": "Recreate"}}
SCENARIOS = [
    # name, the Deployment, then merge patches, each with the seconds given to the controllers. In those with CROWD in
    # their name so many pods race that hardly two runs are alike: their ends alone are kept.
    ("create, image, scale to 0 and to 2", deployment(2), 3, [
        (image("6.0.1"), 4), ({"spec": {"replicas": 0}}, 2), ({"spec": {"replicas": 2}}, 3), ({"spec": {"replicas": 3}}, 3)]),
    ("crash and deadline", deployment(2, kind="crash", progressDeadlineSeconds=10), 13, [(pods(None), 5)]),
    ("broken change and way back", deployment(3, progressDeadlineSeconds=10), 3, [(pods("never-ready"), 13), (pods(None), 4)]),
    ("recreate", deployment(2, **RECREATE), 3, [(image("6.0.1"), 4)]),
    ("paused", deployment(1), 3, [({"spec": {"paused": True}}, 2), (image("6.0.1"), 2), ({"spec": {"replicas": 2}}, 3), ({"spec": {"paused": None}}, 4)]),
    ("history", deployment(1, revisionHistoryLimit=1), 3, [(image("6.0.1"), 4), (image("6.0.2"), 4), (image("6.0.1"), 4)]),
    ("CROWD numbers", deployment(4, strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}}), 3, [(image("6.0.1"), 6)]),
    ("minReadySeconds", deployment(1, minReadySeconds=2), 5, [(image("6.0.1"), 7)]),
    ("CROWD scaled in between", deployment(10, strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}), 4, [
        (pods("never-ready"), 4), ({"spec": {"replicas": 15}}, 3), ({"spec": {"replicas": 6}}, 3), (pods(None), 6)]),
    ("zero at birth", deployment(0), 2, [(image("6.0.1"), 2), ({"spec": {"replicas": 1}}, 3)]),
]


def watch(namespace, seen, ready):
    connection = http.client.HTTPSConnection(HOST, timeout=120, context=CONTEXT)
    connection.request("GET", f"/apis/apps/v1/namespaces/{namespace}/deployments?watch=1&timeoutSeconds=100", headers=HEADERS)
    response = connection.getresponse()
    ready.set()
    for line in response:
        seen.append(json.loads(line)["object"])


def line(item):
    status = dict(item.get("status", {}))
    conditions = "; ".join(f"{c['type']} {c['status']} {c['reason']}" for c in status.pop("conditions", []))
    counts = " ".join(f"{name}={status[name]}" for name in sorted(status))
    revision = item["metadata"].get("annotations", {}).get("deployment.kubernetes.io/revision")
    return f"{item['metadata']['generation']} {revision} {counts} [{conditions}]"


def messages(item):
    for condition in item.get("status", {}).get("conditions", []):
        words = ["web-HASH" if word.startswith("web-") else word for word in condition["message"].split('"')]
        yield condition["reason"], '"'.join(words)


def statuses(items):
    """The different ones in a row, from the first that the controller wrote."""
    lines = [line(item) for item in items if item.get("status")]
    return [text for index, text in enumerate(lines) if index == 0 or lines[index - 1] != text]


def sets(namespace):
    out = []
    for item in call("GET", f"/apis/apps/v1/namespaces/{namespace}/replicasets")["items"]:
        annotations = {k.split("/")[1]: v for k, v in item["metadata"]["annotations"].items()}
        status = {k: v for k, v in item["status"].items() if k != "observedGeneration"}
        template = item["spec"]["template"]
        out.append({"annotations": annotations, "replicas": item["spec"]["replicas"], "image": template["spec"]["containers"][0]["image"],
                    "pods": template["metadata"]["labels"].get("bed.pilothouse.dev/pod"), "status": status})
    return sorted(out, key=lambda s: int(s["annotations"]["revision"]))


def play(namespace, first, seconds, patches, played):
    call("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    seen, ready = [], threading.Event()
    threading.Thread(target=watch, args=(namespace, seen, ready), daemon=True).start()
    ready.wait()
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    call("POST", path, first)
    for patch, wait in [(None, seconds), *patches]:
        begin = len(seen)
        if patch is not None:
            call("PATCH", path + "/web", patch, "application/merge-patch+json")
        time.sleep(wait)
        played.append({"patch": patch, "seconds": wait, "seen": seen[begin:], "replicaSets": sets(namespace)})


runs = []
for run in range(RUNS):
    played = [[] for _ in SCENARIOS]
    threads = [threading.Thread(target=play, args=(f"run-{run}-{n}", *s[1:], played[n])) for n, s in enumerate(SCENARIOS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    runs.append(played)

words, table, scenarios = {}, {}, []
for number, (name, first, *_) in enumerate(SCENARIOS):
    steps = []
    for together in zip(*(run[number] for run in runs)):
        ways = []
        for step in together:
            way = " ".join(str(table.setdefault(text, len(table))) for text in ([] if name.startswith("CROWD") else statuses(step["seen"])))
            if way and way not in ways:
                ways.append(way)
            words.update(pair for item in step["seen"] for pair in messages(item))
        ends = [step["replicaSets"] for step in together]
        assert all(end == ends[0] for end in ends), (name, ends)
        steps.append({"patch": together[0]["patch"], "seconds": together[0]["seconds"], "replicaSets": ends[0],
                      "runs": ways})
    scenarios.append({"name": name, "object": first, "steps": steps})
with open(OUT, "w") as out:
    json.dump({"messages": words, "lines": list(table), "scenarios": scenarios}, out, indent=1)
    out.write("\n")
