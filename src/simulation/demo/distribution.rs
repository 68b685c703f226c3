//! The vendor's distribution as the demo ships it: the tree of `dist/`, release after release.

/// The tree of the first release.
const TREE: [(&str, &str); 39] = [
    ("dist/app-istio/backend/canary.yaml", include_str!("../../../dist/app-istio/backend/canary.yaml")),
    ("dist/app-istio/backend/config.yaml", include_str!("../../../dist/app-istio/backend/config.yaml")),
    ("dist/app-istio/backend/deployment.yaml", include_str!("../../../dist/app-istio/backend/deployment.yaml")),
    ("dist/app-istio/backend/kustomization.yaml", include_str!("../../../dist/app-istio/backend/kustomization.yaml")),
    ("dist/app-istio/frontend/canary.yaml", include_str!("../../../dist/app-istio/frontend/canary.yaml")),
    ("dist/app-istio/frontend/config.yaml", include_str!("../../../dist/app-istio/frontend/config.yaml")),
    ("dist/app-istio/frontend/deployment.yaml", include_str!("../../../dist/app-istio/frontend/deployment.yaml")),
    ("dist/app-istio/frontend/kustomization.yaml", include_str!("../../../dist/app-istio/frontend/kustomization.yaml")),
    ("dist/app-istio/kustomization.yaml", include_str!("../../../dist/app-istio/kustomization.yaml")),
    ("dist/app-istio/namespace.yaml", include_str!("../../../dist/app-istio/namespace.yaml")),
    ("dist/app-istio/shutdown.yaml", include_str!("../../../dist/app-istio/shutdown.yaml")),
    ("dist/app-kubernetes/backend/canary.yaml", include_str!("../../../dist/app-kubernetes/backend/canary.yaml")),
    ("dist/app-kubernetes/backend/config.yaml", include_str!("../../../dist/app-kubernetes/backend/config.yaml")),
    ("dist/app-kubernetes/backend/deployment.yaml", include_str!("../../../dist/app-kubernetes/backend/deployment.yaml")),
    ("dist/app-kubernetes/backend/kustomization.yaml", include_str!("../../../dist/app-kubernetes/backend/kustomization.yaml")),
    ("dist/app-kubernetes/frontend/canary.yaml", include_str!("../../../dist/app-kubernetes/frontend/canary.yaml")),
    ("dist/app-kubernetes/frontend/config.yaml", include_str!("../../../dist/app-kubernetes/frontend/config.yaml")),
    ("dist/app-kubernetes/frontend/deployment.yaml", include_str!("../../../dist/app-kubernetes/frontend/deployment.yaml")),
    ("dist/app-kubernetes/frontend/kustomization.yaml", include_str!("../../../dist/app-kubernetes/frontend/kustomization.yaml")),
    ("dist/app-kubernetes/kustomization.yaml", include_str!("../../../dist/app-kubernetes/kustomization.yaml")),
    ("dist/app-kubernetes/namespace.yaml", include_str!("../../../dist/app-kubernetes/namespace.yaml")),
    ("dist/app-kubernetes/shutdown.yaml", include_str!("../../../dist/app-kubernetes/shutdown.yaml")),
    ("dist/app-linkerd/backend/canary.yaml", include_str!("../../../dist/app-linkerd/backend/canary.yaml")),
    ("dist/app-linkerd/backend/config.yaml", include_str!("../../../dist/app-linkerd/backend/config.yaml")),
    ("dist/app-linkerd/backend/deployment.yaml", include_str!("../../../dist/app-linkerd/backend/deployment.yaml")),
    ("dist/app-linkerd/backend/kustomization.yaml", include_str!("../../../dist/app-linkerd/backend/kustomization.yaml")),
    ("dist/app-linkerd/frontend/canary.yaml", include_str!("../../../dist/app-linkerd/frontend/canary.yaml")),
    ("dist/app-linkerd/frontend/config.yaml", include_str!("../../../dist/app-linkerd/frontend/config.yaml")),
    ("dist/app-linkerd/frontend/deployment.yaml", include_str!("../../../dist/app-linkerd/frontend/deployment.yaml")),
    ("dist/app-linkerd/frontend/kustomization.yaml", include_str!("../../../dist/app-linkerd/frontend/kustomization.yaml")),
    ("dist/app-linkerd/kustomization.yaml", include_str!("../../../dist/app-linkerd/kustomization.yaml")),
    ("dist/app-linkerd/namespace.yaml", include_str!("../../../dist/app-linkerd/namespace.yaml")),
    ("dist/app-linkerd/shutdown.yaml", include_str!("../../../dist/app-linkerd/shutdown.yaml")),
    ("dist/base/backend/canary.yaml", include_str!("../../../dist/base/backend/canary.yaml")),
    ("dist/base/backend/deployment.yaml", include_str!("../../../dist/base/backend/deployment.yaml")),
    ("dist/base/backend/kustomization.yaml", include_str!("../../../dist/base/backend/kustomization.yaml")),
    ("dist/base/frontend/canary.yaml", include_str!("../../../dist/base/frontend/canary.yaml")),
    ("dist/base/frontend/deployment.yaml", include_str!("../../../dist/base/frontend/deployment.yaml")),
    ("dist/base/frontend/kustomization.yaml", include_str!("../../../dist/base/frontend/kustomization.yaml")),
];

/// Image tag of the first release, as `dist/` has it.
const FIRST: &str = "6.0.0";
/// A setting of both services, and what later releases have instead.
const SETTING: [&str; 2] = ["http-client-timeout: 1m", "http-client-timeout: 30s"];

/// What a release is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    Good,
    /// Half of its requests fail.
    Bad,
    /// It takes 900 ms.
    Slow,
}

/// The n-th release of the distribution, from 0: `1.N.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    pub number: u32,
    pub quality: Quality,
}

impl Release {
    /// Its tag.
    #[must_use]
    pub fn tag(self) -> String {
        format!("1.{}.0", self.number)
    }

    fn image(self) -> String {
        let end = match self.quality {
            Quality::Good => "",
            Quality::Bad => "-bad",
            Quality::Slow => "-slow",
        };
        format!("6.0.{}{end}", self.number)
    }

    /// Paths and contents of the release; the second one changes the configuration as well.
    #[must_use]
    pub fn tree(self) -> Vec<(String, String)> {
        let setting = SETTING[usize::from(self.number > 0)];
        let edit =
            |text: &str| text.replace(&format!("newTag: {FIRST}"), &format!("newTag: {}", self.image())).replace(SETTING[0], setting);
        TREE.iter().map(|(path, text)| ((*path).to_owned(), edit(text))).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;

    #[test]
    fn the_first_release_is_the_tree_of_dist() {
        let mut there = BTreeMap::new();
        let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("dist")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).expect("a folder").flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|end| end == "yaml") {
                    let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).expect("inside").display().to_string();
                    there.insert(name, std::fs::read_to_string(&path).expect("text"));
                }
            }
        }
        let shipped: BTreeMap<_, _> = Release { number: 0, quality: Quality::Good }.tree().into_iter().collect();
        assert_eq!(shipped, there);
    }

    #[test]
    fn a_later_release_has_another_image_in_every_overlay() {
        let tree = Release { number: 2, quality: Quality::Slow }.tree();
        let tagged: Vec<_> = tree.iter().filter(|(_, text)| text.contains("newTag: 6.0.2-slow")).map(|(path, _)| path.as_str()).collect();
        assert_eq!(
            tagged,
            ["dist/app-istio/kustomization.yaml", "dist/app-kubernetes/kustomization.yaml", "dist/app-linkerd/kustomization.yaml"]
        );
        assert!(tree.iter().any(|(_, text)| text.contains(SETTING[1])) && !tree.iter().any(|(_, text)| text.contains(SETTING[0])));
    }
}
