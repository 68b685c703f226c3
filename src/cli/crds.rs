//! The CRDs of group `flagger.app`.

use super::{Failure, Global, Outcome, contexts, output};
use crate::kubernetes::access::Access;
use crate::kubernetes::crds::{self, Installed};

pub(super) async fn crds(global: &Global, install: bool) -> Outcome {
    if !install {
        let documents: Result<Vec<_>, _> = crds::all().iter().map(serde_yaml::to_string).collect();
        output::print(&documents.map_err(Failure::failed)?.join("---\n"));
        return Ok(0);
    }
    if global.read_only && !global.dry_run {
        return Err(Failure::refused("cannot install CRDs: --read-only"));
    }
    let contexts = contexts(global)?;
    let names = if global.context.is_empty() { contexts.names() } else { global.context.clone() };
    let mut failed = Vec::new();
    for name in names {
        contexts.check(&name).map_err(Failure::usage)?;
        let done = async {
            let client = contexts.connect(&name).await.map_err(|e| e.to_string())?.client;
            crds::install(&Access::new(client), global.dry_run).await.map_err(|e| format!("context {name}: {e}"))
        };
        match done.await {
            Ok(all) => {
                for (crd, outcome) in all {
                    let word = match outcome {
                        Installed::Created if global.dry_run => "would be created".to_owned(),
                        Installed::Updated if global.dry_run => "would be brought up to date".to_owned(),
                        Installed::Created => "created".to_owned(),
                        Installed::Updated => "up to date".to_owned(),
                        Installed::Kept(manager) => format!("kept: {manager} manages it"),
                    };
                    output::print(&format!("{name}: {crd} {word}\n"));
                }
            }
            Err(why) => failed.push(why),
        }
    }
    if failed.is_empty() { Ok(0) } else { Err(Failure { code: 4, message: failed.join("\n") }) }
}
