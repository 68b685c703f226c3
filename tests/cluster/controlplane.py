"""One cluster: etcd, kube-apiserver, controller-manager, scheduler and kwok, on loopback ports of their own."""
from __future__ import annotations

import base64
import http.client
import json
import pathlib
import secrets
import ssl
import urllib.parse

import crds
from kube import Kube
from process import BedError, free_port

OBJECTS = pathlib.Path(__file__).resolve().parent / "objects"
USER = "pilothouse"


def answers(url, anyone=False):
    """True when a GET is answered with 200. `anyone`: the certificate is the server's own and of no interest."""
    address = urllib.parse.urlparse(url)
    if address.scheme == "https":
        connection = http.client.HTTPSConnection(address.netloc, timeout=2, context=ssl._create_unverified_context() if anyone else None)
    else:
        connection = http.client.HTTPConnection(address.netloc, timeout=2)
    try:
        connection.request("GET", address.path or "/")
        return connection.getresponse().status == 200
    finally:
        connection.close()


def signing_key():
    """A P-256 private key in PEM: any number will do, and the public half may be left out (RFC 5915)."""
    number = (secrets.randbits(255) + 1).to_bytes(32, "big")
    der = b"\x30\x31\x02\x01\x01\x04\x20" + number + b"\xa0\x0a\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"
    return "-----BEGIN EC PRIVATE KEY-----\n" + base64.encodebytes(der).decode() + "-----END EC PRIVATE KEY-----\n"


def kubeconfig(entries):
    """Block YAML. `entries` are (context, server, authority in PEM, user, token); the first is the current one."""
    def block(title, item):
        return f"{title}:\n" + "".join(item(*entry) for entry in entries)
    return ("apiVersion: v1\nkind: Config\n"
            + f"current-context: {entries[0][0]}\n"
            + block("clusters", lambda name, server, ca, user, token: f"- name: {name}\n  cluster:\n    server: {server}\n    certificate-authority-data: {base64.b64encode(ca.encode()).decode()}\n")
            + block("users", lambda name, server, ca, user, token: f"- name: {user}@{name}\n  user:\n    token: {token}\n")
            + block("contexts", lambda name, server, ca, user, token: f"- name: {name}\n  context:\n    cluster: {name}\n    user: {user}@{name}\n"))


class Cluster:
    def __init__(self, name, mesh, folder, programs, children, nodes=1):
        self.name, self.mesh, self.folder, self.programs, self.children, self.nodes = name, mesh, folder, programs, children, nodes
        self.admin_token, self.user_token = secrets.token_hex(16), secrets.token_hex(16)
        self.audit = folder / "audit.log"
        self.admin_kubeconfig = folder.parent / f"{name}.admin.kubeconfig"
        self.processes = {}
        self.server = self.ca = self.kube = None

    def spawn(self, name, argv):
        layer = {"etcd": 0, "kube-apiserver": 1}.get(name, 2)
        child = self.children.start(f"{self.name}/{name}", argv, self.folder / f"{name}.log", layer)
        self.processes[name] = child
        return child

    def write(self, name, content):
        path = self.folder / name
        path.write_text(content if isinstance(content, str) else json.dumps(content, indent=1))
        path.chmod(0o600)
        return path

    def start(self):
        self.folder.mkdir(parents=True)
        etcd_port = self.start_etcd()
        self.start_apiserver(etcd_port)
        for number in range(self.nodes):
            self.kube.create(self.node(f"node-{number}"))
        waits = [self.start_controller_manager(), self.start_scheduler(), self.start_kwok()]
        self.install(crds.istio() + crds.gateway())
        for child, probe in waits:
            self.children.wait_ready(child, probe)
        return self

    def start_etcd(self):
        client, peer = free_port(), free_port()
        url = f"http://127.0.0.1:{client}"
        child = self.spawn("etcd", [
            self.programs["etcd"], "--name", self.name, "--data-dir", self.folder / "etcd", "--unsafe-no-fsync",
            "--listen-client-urls", url, "--advertise-client-urls", url,
            "--listen-peer-urls", f"http://127.0.0.1:{peer}", "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
            "--initial-cluster", f"{self.name}=http://127.0.0.1:{peer}", "--log-level", "warn",
            # alone, it waits one election timeout before it serves
            "--heartbeat-interval", 20, "--election-timeout", 200])
        self.children.wait_ready(child, lambda: answers(url + "/health"))
        return client

    def start_apiserver(self, etcd_port):
        port, certificates = free_port(), self.folder / "certificates"
        tokens = self.write("tokens.csv", f'{self.admin_token},admin,1,"system:masters"\n{self.user_token},{USER},2,"{USER}"\n')
        # The audit log holds the requests of the program under test and nobody else's: tests count what it costs.
        policy = self.write("audit-policy.json", {
            "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
            "rules": [{"level": "Metadata", "users": [USER]}, {"level": "None"}]})
        key = self.write("service-account.key", signing_key())
        self.server = f"https://127.0.0.1:{port}"
        child = self.spawn("kube-apiserver", self.programs["kube-apiserver"] + [
            "--etcd-servers", f"http://127.0.0.1:{etcd_port}", "--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1",
            "--secure-port", port, "--cert-dir", certificates, "--token-auth-file", tokens, "--authorization-mode", "RBAC",
            "--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", key,
            "--service-account-signing-key-file", key, "--service-cluster-ip-range", "10.96.0.0/16",
            "--disable-admission-plugins", "ServiceAccount,TaintNodesByCondition",
            # nothing runs behind the Service `kubernetes`, and a loopback address is not accepted as its endpoint
            "--endpoint-reconciler-type", "none", "--profiling=false",
            "--audit-policy-file", policy, "--audit-log-path", self.audit])

        def ready():
            # apiserver.crt holds the leaf and then the authority that signed it. Clients get the authority alone: a
            # strict verifier (rustls) refuses a leaf as its own authority.
            if self.kube is None:
                begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
                text = (certificates / "apiserver.crt").read_text()
                if text.count(end) != 2:
                    return False
                self.ca = begin + text.split(begin)[-1]
                self.kube = Kube(self.server, self.admin_token, self.ca)
            return self.kube.get("/readyz") == "ok"
        self.children.wait_ready(child, ready)
        self.admin_kubeconfig.write_text(kubeconfig([(self.name, self.server, self.ca, "admin", self.admin_token)]))
        self.admin_kubeconfig.chmod(0o600)

    def start_controller_manager(self):
        port = free_port()
        child = self.spawn("kube-controller-manager", self.programs["kube-controller-manager"] + [
            "--kubeconfig", self.admin_kubeconfig, "--bind-address", "127.0.0.1", "--secure-port", port, "--leader-elect=false",
            "--service-account-private-key-file", self.folder / "service-account.key", "--profiling=false",
            # nobody sends node heartbeats: after 40 s every pod would turn unready
            "--controllers", "*,-nodelifecycle",
            # the default of 20 requests a second takes minutes for a few hundred Deployments
            "--kube-api-qps", 500, "--kube-api-burst", 1000])
        return child, lambda: answers(f"https://127.0.0.1:{port}/healthz", anyone=True)

    def start_scheduler(self):
        port = free_port()
        child = self.spawn("kube-scheduler", self.programs["kube-scheduler"] + [
            "--kubeconfig", self.admin_kubeconfig, "--bind-address", "127.0.0.1", "--secure-port", port, "--leader-elect=false",
            "--profiling=false", "--kube-api-qps", 500, "--kube-api-burst", 1000])
        return child, lambda: answers(f"https://127.0.0.1:{port}/healthz", anyone=True)

    def start_kwok(self):
        child = self.spawn("kwok", [
            self.programs["kwok"], "--kubeconfig", self.admin_kubeconfig, "--manage-all-nodes=true", "--node-port", 0,
            "--cidr", "10.64.0.1/12", "--config", OBJECTS / "stages.yaml"])

        def ready():
            nodes = self.kube.get("/api/v1/nodes")["items"]
            return all(any(c["type"] == "Ready" and c["status"] == "True" for c in n["status"].get("conditions", [])) for n in nodes)
        return child, ready

    @staticmethod
    def node(name):
        room = {"cpu": "1k", "memory": "1Ti", "pods": "1000"}
        return {"apiVersion": "v1", "kind": "Node",
                "metadata": {"name": name, "annotations": {"kwok.x-k8s.io/node": "fake", "node.alpha.kubernetes.io/ttl": "0"},
                             "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "type": "kwok"}},
                "status": {"allocatable": room, "capacity": room}}

    def install(self, resources):
        for item in resources:
            self.kube.create(item)
        self.wait(lambda: crds.established(self.kube, resources), "custom resources")

    def grant(self, role_file):
        """Gives the user of the program under test the role that the project ships, or everything while there is none."""
        name, probe = "cluster-admin", {"verb": "list", "resource": "services"}
        if role_file.exists():
            name = USER
            shipped = json.loads(role_file.read_text())
            items = shipped["items"] if shipped.get("kind") == "List" else [shipped]
            for item in sorted(items, key=lambda item: item["kind"] != "Namespace"):
                self.kube.create(item)
            role = next((i for i in items if i["kind"] == "ClusterRole" and i["metadata"]["name"] == USER), None)
            if role is None:
                raise BedError(f"{role_file} holds no ClusterRole {USER}")
            rule = next(r for r in role["rules"] if r.get("resources"))
            probe = {"verb": rule["verbs"][0], "group": rule["apiGroups"][0], "resource": rule["resources"][0]}
        self.kube.create({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": f"bed-{USER}"},
                          "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
                          "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USER}]})

        def granted():  # the authorizer reads roles from a cache; asked as admin, the audit log stays empty
            review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
                      "spec": {"user": USER, "groups": [USER], "resourceAttributes": probe}}
            return self.kube.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)["status"]["allowed"]
        self.wait(granted, "role binding")

    def wait(self, probe, what, seconds=30):
        self.children.wait_ready(self.processes["kube-apiserver"], probe, seconds, f"{self.name}: {what}")
