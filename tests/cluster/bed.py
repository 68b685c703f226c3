#!/usr/bin/env python3
"""The real test bed: whole Kubernetes control planes on loopback, without containers. See README.md beside this file.

usage: bed.py up [--clusters eks:kubernetes,gke:istio] [--prometheus] [--traffic] [--providers] [--flagger NAME] …

Prints one line of JSON when everything is ready, then stays until SIGTERM, SIGINT or the end of its standard input, and
takes every process it started with it.
"""
from __future__ import annotations

import argparse
import concurrent.futures
import fcntl
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

import crds
import providers
from controlplane import USER, Cluster, answers, kubeconfig
from process import BedError, Children, free_port
from traffic import Traffic

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
PREFIX = "pilothouse-bed-"
LOCKS = []  # held as long as the process lives
SCRIPTED_METRICS = "http://127.0.0.1:19090"  # where the recorder of traces answers as Prometheus


def arguments():
    parser = argparse.ArgumentParser(description="Brings real control planes up on loopback.")
    up = parser.add_subparsers(dest="command", required=True).add_parser("up", help="bring the clusters up and stay in the foreground")
    up.add_argument("--clusters", default="eks:kubernetes,gke:istio", metavar="NAME:MESH,…")
    up.add_argument("--dir", type=pathlib.Path, help="data folder, must not hold anything yet (default: a fresh temporary one)")
    up.add_argument("--keep", action="store_true", help="leave the data folder behind")
    up.add_argument("--stay", action="store_true", help="ignore the end of standard input")
    up.add_argument("--nodes", type=int, default=1, help="fake nodes per cluster, 1000 pods each")
    up.add_argument("--traffic", action="store_true", help="emulate the requests that the routes would carry")
    up.add_argument("--prometheus", action="store_true", help="a real Prometheus per cluster (implies --traffic)")
    up.add_argument("--providers", action="store_true", help="git repositories of the distribution and of one provider per cluster, and a fleet file")
    up.add_argument("--flagger-crds", action="store_true", help="install Flagger's custom resources")
    up.add_argument("--routers", action="store_true", help="install the custom resources of every other router, of KEDA and of Knative")
    up.add_argument("--flagger", action="append", default=[], metavar="NAME", help="run the real Flagger for this cluster (repeatable, implies its custom resources)")
    up.add_argument("--flagger-metrics", metavar="URL", help=f"Flagger's metrics server (default: the cluster's Prometheus, else {SCRIPTED_METRICS})")
    args = parser.parse_args()
    try:
        args.clusters = dict(item.split(":") for item in args.clusters.split(","))
    except ValueError:
        parser.error("--clusters wants NAME:MESH,NAME:MESH")
    for name in args.flagger:
        if name not in args.clusters:
            parser.error(f"--flagger {name}: there is no such cluster")
    args.traffic = args.traffic or args.prometheus
    return args


def programs():
    """Where the programs are, built if need be. build.sh knows the versions; it costs nothing when all is there."""
    built = subprocess.run(["sh", str(HERE / "build.sh")], stdout=subprocess.PIPE, text=True)
    if built.returncode:
        raise BedError("build.sh failed, see above")
    folder = pathlib.Path(built.stdout.strip().splitlines()[-1])
    found = {name: str(folder / name) for name in ("etcd", "kwok", "kustomize", "flagger")}
    found["prometheus"] = shutil.which("prometheus")
    commands = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
    found.update({name: [str(folder / "controlplane"), name] for name in commands})
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets and all(os.access(os.path.join(assets, name), os.X_OK) for name in ("etcd", "kube-apiserver")):
        found["etcd"] = os.path.join(assets, "etcd")
        found.update({name: [os.path.join(assets, name)] for name in commands if os.access(os.path.join(assets, name), os.X_OK)})
    return found


def data_folder(wanted):
    if wanted:
        wanted = wanted.resolve()
        if wanted.exists() and any(wanted.iterdir()):
            raise BedError(f"{wanted} is not empty")
        wanted.mkdir(parents=True, exist_ok=True)
        return wanted
    sweep()
    folder = pathlib.Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
    lock = open(folder / "lock.new", "w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.rename(lock.name, folder / "lock")  # only now does sweep() look at this folder
    LOCKS.append(lock)
    return folder


def sweep():
    """Removes the temporary folders of beds that were killed and could not do it themselves.

    Nobody holds their lock any more. A process id would not tell: it may live on as a zombie or as somebody else.
    """
    for name in pathlib.Path(tempfile.gettempdir()).glob(PREFIX + "*/lock"):
        try:
            with open(name) as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(name.parent, ignore_errors=True)
        except OSError:
            pass  # in use, or another user's


class Bed:
    def __init__(self, args, folder, tools, children):
        self.args, self.folder, self.tools, self.children = args, folder, tools, children
        self.clusters = [Cluster(name, mesh, folder / name, tools, children, args.nodes) for name, mesh in args.clusters.items()]
        self.traffic, self.prometheus = {}, {}

    def up(self):
        with concurrent.futures.ThreadPoolExecutor(len(self.clusters) + 1) as pool:
            repositories = pool.submit(providers.make, self.folder / "git", REPOSITORY / "dist", self.args.clusters) if self.args.providers else None
            starting = [pool.submit(self.start, cluster) for cluster in self.clusters]
            try:
                for done in concurrent.futures.as_completed(starting):
                    done.result()
                urls = repositories.result() if repositories else {}
            except BaseException:
                self.children.end()  # the other threads notice, and the pool does not wait for their deadlines
                raise
        return self.describe(urls)

    def start(self, cluster):
        cluster.start()
        cluster.grant(REPOSITORY / "config" / "role.json")
        if self.args.routers:
            cluster.install(crds.routers())
        if self.args.flagger_crds or cluster.name in self.args.flagger:
            cluster.install(crds.flagger())
        if self.args.traffic:
            self.traffic[cluster.name] = Traffic(cluster.kube, cluster.mesh, lambda: self.children.closed).start()
        if self.args.prometheus:
            self.prometheus[cluster.name] = self.start_prometheus(cluster)
        if cluster.name in self.args.flagger:
            self.start_flagger(cluster)

    def start_prometheus(self, cluster):
        if not self.tools["prometheus"]:
            raise BedError("prometheus is not on the PATH")
        url = f"http://127.0.0.1:{free_port()}"
        target = self.traffic[cluster.name].url.split("//")[1]
        config = cluster.write("prometheus.json", {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [{"job_name": "traffic", "static_configs": [{"targets": [target]}]}]})
        child = cluster.spawn("prometheus", [
            self.tools["prometheus"], f"--config.file={config}", f"--storage.tsdb.path={cluster.folder / 'prometheus'}",
            "--storage.tsdb.retention.time=2h", f"--web.listen-address={url.split('//')[1]}", "--log.level=warn"])
        self.children.wait_ready(child, lambda: answers(url + "/-/ready"))
        return url

    def start_flagger(self, cluster):
        port = free_port()
        metrics = self.args.flagger_metrics or self.prometheus.get(cluster.name) or SCRIPTED_METRICS
        child = cluster.spawn("flagger", [
            self.tools["flagger"], "-kubeconfig", cluster.admin_kubeconfig, "-metrics-server", metrics, "-mesh-provider", cluster.mesh,
            "-port", port, "-enable-leader-election=true", "-leader-election-namespace", "kube-system"])
        lease = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/flagger-leader-election"
        self.children.wait_ready(child, lambda: answers(f"http://127.0.0.1:{port}/healthz") and cluster.kube.get(lease)["spec"]["holderIdentity"])

    def describe(self, repositories):
        def write(name, text):
            path = self.folder / name
            path.write_text(text)
            path.chmod(0o600)
            return str(path)

        users = write("kubeconfig", kubeconfig([(c.name, c.server, c.ca, USER, c.user_token) for c in self.clusters]))
        admins = write("admin.kubeconfig", kubeconfig([(c.name, c.server, c.ca, "admin", c.admin_token) for c in self.clusters]))
        fleet = write("fleet.yaml", providers.fleet(repositories, self.args.clusters, self.prometheus)) if repositories else None
        return {
            "dir": str(self.folder), "pid": os.getpid(), "kubeconfig": users, "adminKubeconfig": admins, "fleet": fleet,
            "programs": {"kustomize": self.tools["kustomize"]}, "repositories": repositories,
            "clusters": {c.name: {
                "server": c.server, "mesh": c.mesh, "adminToken": c.admin_token, "userToken": c.user_token,
                "adminKubeconfig": str(c.admin_kubeconfig), "audit": str(c.audit), "prometheus": self.prometheus.get(c.name),
                "traffic": self.traffic[c.name].url if c.name in self.traffic else None,
                "pids": {name: child.pid for name, child in c.processes.items()}} for c in self.clusters}}


class Stop(BaseException):
    """Somebody asked the bed to end. Not an Exception: no handler on the way may swallow it."""


def listen(stay):
    """The first request to end interrupts whatever the main thread does; later ones find it ending already."""
    asked = []

    def stop(*_):
        if not asked:
            asked.append(True)
            raise Stop

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)

    def until_end_of_input():
        try:
            while os.read(0, 4096):
                pass
        except OSError:
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    if not stay and not os.isatty(0):
        threading.Thread(target=until_end_of_input, daemon=True).start()


def watch(children):
    """Stays until the bed is asked to end. A child that ends is reported, not replaced: tests kill some on purpose."""
    reported, pause = set(), threading.Event()
    while True:
        for child in children.dead():
            if child.pid not in reported:
                reported.add(child.pid)
                print(f"bed.py: {child.name} (process {child.pid}) ended with status {child.process.returncode}; its log is {child.log}", file=sys.stderr, flush=True)
        pause.wait(1)


def main():
    args = arguments()
    folder = None
    try:
        listen(args.stay)
        with Children() as children:
            tools = programs()
            folder = data_folder(args.dir)
            print(json.dumps(Bed(args, folder, tools, children).up()), flush=True)
            watch(children)
    except Stop:
        return 0
    except BedError as error:
        print(f"bed.py: {error}", file=sys.stderr)
        return 1
    finally:
        if folder and not args.keep:
            shutil.rmtree(folder, ignore_errors=True)
            if args.dir:
                folder.mkdir(exist_ok=True)  # the folder was given, only what is in it is ours


if __name__ == "__main__":
    sys.exit(main())
