"""Git repositories as a vendor and its providers would have them, and the fleet file that names them.

  distribution.git  the tree of dist/ with the releases 1.0.0 (podinfo 6.0.0), 1.1.0 (6.0.1 and a changed configuration of
                    both services), 1.2.0 (6.0.2-bad, which fails) and 1.3.0 (6.0.3)
  NAME.git          one per provider: app/kustomization.yaml pins 1.0.0 and customises it
"""
from __future__ import annotations

import os
import shutil
import subprocess

from process import BedError

SERVICES = ("backend", "frontend")
RELEASES = (("1.0.0", "6.0.0"), ("1.1.0", "6.0.1"), ("1.2.0", "6.0.2-bad"), ("1.3.0", "6.0.3"))
CONFIGURED = "1.1.0"  # the release that changes configuration as well


def git(folder, *words, day=1):
    # Nothing from the machine's or the user's settings, and fixed dates: the same releases everywhere, also without a HOME.
    environment = dict(os.environ, GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_NOSYSTEM="1", GIT_TERMINAL_PROMPT="0",
                       GIT_AUTHOR_DATE=f"2026-01-{day:02}T12:00:00Z", GIT_COMMITTER_DATE=f"2026-01-{day:02}T12:00:00Z")
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        environment.pop(name, None)
    done = subprocess.run(["git", "-c", "user.name=Bed", "-c", "user.email=bed@example.com", *words], cwd=folder,
                          env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
    if done.returncode:
        raise BedError(f"git {' '.join(words)} failed in {folder}: {done.stdout}")


def commit(folder, message, day=1):
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message, day=day)


def publish(work, bare):
    """Turns a work tree into a bare repository that may be fetched from by commit and pushed to."""
    git(work.parent, "clone", "--quiet", "--bare", str(work), str(bare))
    git(bare, "config", "uploadpack.allowAnySHA1InWant", "true")
    git(bare, "remote", "remove", "origin")
    shutil.rmtree(work)
    return bare.as_uri()


def make(folder, dist, clusters):
    """Makes all repositories under `folder`; returns {name: url}, the distribution's under `distribution`."""
    if not dist.is_dir():
        raise BedError(f"--providers wants the distribution at {dist}, and it is not there")
    for name, mesh in clusters.items():
        if not (dist / f"app-{mesh}").is_dir():
            raise BedError(f"--providers: {name} wants {dist / f'app-{mesh}'}, and the distribution has no such folder")
    folder.mkdir(parents=True)
    urls = {"distribution": distribution(folder, dist)}
    for name, mesh in clusters.items():
        urls[name] = provider(folder, name, mesh, urls["distribution"])
    return urls


def distribution(folder, dist):
    work = folder / "distribution"
    shutil.copytree(dist, work / "dist")
    git(work, "init", "--quiet", "--initial-branch", "main")
    overlays = sorted(p for p in (work / "dist").glob("app-*") if p.is_dir())
    image = RELEASES[0][1]
    for day, (release, following) in enumerate(RELEASES, 1):
        for overlay in overlays:
            replace(overlay / "kustomization.yaml", f"newTag: {image}", f"newTag: {following}")
            if release == CONFIGURED:
                for service in SERVICES:
                    replace(overlay / service / "config.yaml", "http-client-timeout: 1m", "http-client-timeout: 30s")
        image = following
        commit(work, f"Release {release}", day)
        git(work, "tag", "--annotate", "--message", f"Release {release}", release, day=day)
    return publish(work, folder / "distribution.git")


def replace(path, old, new):
    text = path.read_text()
    if old not in text:
        raise BedError(f"{path} does not hold `{old}`: the releases of the bed are made by editing it")
    path.write_text(text.replace(old, new))


def provider(folder, name, mesh, source):
    work = folder / name
    app = work / "app"
    app.mkdir(parents=True)
    git(work, "init", "--quiet", "--initial-branch", "main")
    gated = mesh == "istio"
    (work / "README.md").write_text(f"# {name}\n\nWhat this provider runs: `app/` pins a release of the distribution and customises it.\n")
    (app / "kustomization.yaml").write_text(f"""\
# What {name} runs. An upgrade moves `ref` below and nothing else.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: app
resources:
  # the vendor's distribution for this kind of cluster
  - {source}//dist/app-{mesh}?ref={RELEASES[0][0]}  # the pin
patches:
  # our nodes are small
  - path: backend-memory.yaml
  - path: frontend-memory.yaml
""" + ("""\
  # a human looks at the backend before it is promoted
  - path: backend-gate.yaml
""" if gated else ""))
    for service, limit in zip(SERVICES, ("128Mi", "192Mi")):
        (app / f"{service}-memory.yaml").write_text(f"""\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {service}
spec:
  template:
    spec:
      containers:
        - name: {service}
          resources:
            limits:
              memory: {limit}
""")
    if gated:
        (app / "backend-gate.yaml").write_text("""\
apiVersion: flagger.app/v1beta1
kind: Canary
metadata:
  name: backend
  annotations:
    pilothouse.dev/gates: confirm-promotion
""")
    commit(work, f"Run {RELEASES[0][0]}")
    return publish(work, folder / f"{name}.git")


def fleet(repositories, clusters, prometheus):
    lines = ["apiVersion: pilothouse.dev/v1alpha1", "kind: Fleet", f"distribution: {{url: '{repositories['distribution']}'}}", "providers:"]
    for wave, (name, mesh) in enumerate(clusters.items(), 1):
        lines += [f"- name: {name}", f"  context: {name}", f"  mesh: {mesh}"]
        if name in prometheus:
            lines.append(f"  prometheus: {{url: '{prometheus[name]}'}}")
        lines += [f"  repository: {{url: '{repositories[name]}', branch: main, path: app}}",
                  "  environment: production", f"  wave: {wave}", "  drive: auto"]
    return "\n".join(lines) + "\n"
