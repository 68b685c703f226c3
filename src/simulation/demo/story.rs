//! What happens in the demo: releases, bumps, a bad one, an approval that is waited for, a network that is gone for a
//! while; again and again, each time with the next releases.

use std::sync::Arc;
use std::time::Duration;

use super::Demo;
use super::distribution::{Quality, Release};
use super::site::{Cloud, Site};
use crate::domain::intent::{Intent, Verb};
use crate::domain::target::CanaryKey;
use crate::kubernetes::access::Access;
use crate::kubernetes::json::text;
use crate::kubernetes::{observe, verbs};
use crate::simulation::line::Line;

/// Seconds of the story of three providers before it is told again.
const LENGTH: u64 = 600;
/// Seconds between neighbours of the same cloud: in a large fleet a few move at a time, as in life.
const STAGGER: u64 = 120;

/// Seconds of the story of so many providers.
fn length(providers: usize) -> u64 {
    LENGTH + last(providers)
}

/// Seconds by which the last providers come later than the first.
fn last(providers: usize) -> u64 {
    u64::try_from(providers.saturating_sub(1) / 3).unwrap_or(0) * STAGGER
}

/// One moment of the story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beat {
    /// The vendor tags the n-th release of this telling.
    Tag(u32),
    /// The provider pins it.
    Bump(u32),
    Unreachable,
    Reachable,
    /// Whoever was asked for an approval gives it.
    Approve,
}

/// Beats of the vendor, by second.
const VENDOR: [(u64, Beat); 3] = [(5, Beat::Tag(1)), (55, Beat::Tag(2)), (300, Beat::Tag(3))];

/// Beats of a provider, by second. Plain EKS skips every other release and is behind most of the time; AKS waits for a
/// human; GKE takes every release, and finds the bad one.
const fn beats(cloud: Cloud) -> &'static [(u64, Beat)] {
    match cloud {
        Cloud::Eks => &[(15, Beat::Bump(1)), (200, Beat::Unreachable), (260, Beat::Reachable)],
        Cloud::Aks => &[(35, Beat::Bump(1)), (420, Beat::Approve)],
        Cloud::Gke => &[(70, Beat::Bump(2)), (330, Beat::Bump(3))],
    }
}

/// The n-th release of a telling: the second one is bad, by turns in one way and the other.
fn release(telling: u32, n: u32, seed: u64) -> Release {
    let quality = match (n, (u64::from(telling) + seed) % 2) {
        (2, 0) => Quality::Bad,
        (2, _) => Quality::Slow,
        _ => Quality::Good,
    };
    Release { number: telling * 3 + n, quality }
}

/// Every beat of one telling: second, provider (`None` is the vendor), what.
fn telling(clouds: &[Cloud]) -> Vec<(u64, Option<usize>, Beat)> {
    let mut all: Vec<_> = VENDOR.iter().map(|(at, beat)| (*at, None, *beat)).collect();
    for (index, cloud) in clouds.iter().enumerate() {
        let later = u64::try_from(index / 3).unwrap_or(0) * STAGGER;
        all.extend(beats(*cloud).iter().map(|(at, beat)| (at + later, Some(index), *beat)));
    }
    all.sort_by_key(|(at, ..)| *at);
    all
}

/// Tells the story until the demo ends.
pub(super) async fn tell(demo: Arc<Demo>) {
    let clouds: Vec<Cloud> = demo.sites.iter().map(|site| site.cloud).collect();
    for number in 0.. {
        let begun = demo.clock.running();
        for (at, place, beat) in telling(&clouds) {
            let passed = demo.clock.running().saturating_sub(begun);
            demo.clock.sleep(Duration::from_secs(at).saturating_sub(passed)).await;
            let done = match place.and_then(|index| demo.sites.get(index)) {
                None => tag(&demo, number, beat).await,
                Some(site) => happen(&demo, site, number, beat).await,
            };
            match done {
                Ok(()) => tracing::info!(?beat, place = place.map(|i| demo.sites[i].name.as_str()), "demo"),
                Err(why) => tracing::warn!(?beat, %why, "demo"),
            }
        }
        let passed = demo.clock.running().saturating_sub(begun);
        demo.clock.sleep(Duration::from_secs(length(clouds.len())).saturating_sub(passed)).await;
    }
}

async fn tag(demo: &Arc<Demo>, telling: u32, beat: Beat) -> Result<(), String> {
    let Beat::Tag(n) = beat else { return Ok(()) };
    let (demo, release) = (Arc::clone(demo), release(telling, n, demo.seed));
    tokio::task::spawn_blocking(move || demo.ship(release)).await.map_err(|e| e.to_string())?
}

async fn happen(demo: &Arc<Demo>, site: &Site, telling: u32, beat: Beat) -> Result<(), String> {
    match beat {
        Beat::Tag(_) => {}
        Beat::Bump(n) => {
            // A pin is moved in a file and a commit: milliseconds.
            let moved = site.bump(&release(telling, n, demo.seed).tag(), demo.clock.now())?;
            let session = demo.session.as_ref();
            let sync = session.and_then(|session| session.context(&site.name)).and_then(|context| context.sync.clone());
            if let (true, Some(sync)) = (moved, sync) {
                sync.kick.notify_one();
            }
        }
        Beat::Unreachable => site.reach(false),
        Beat::Reachable => site.reach(true),
        Beat::Approve => approve(demo, site).await?,
    }
    Ok(())
}

/// Opens every gate of `site` that still waits, as the person who was asked does.
async fn approve(demo: &Demo, site: &Site) -> Result<(), String> {
    let access = Access::new(Line::new(Arc::clone(&site.cluster.server), "dana@example.com", None).client());
    for canary in site.cluster.server.objects("canaries.flagger.app") {
        let status = observe::status(&canary);
        if status.engine().waiting.is_empty() {
            continue;
        }
        let now = demo.clock.now();
        let intent = Intent {
            id: verbs::new_id(now),
            verb: Verb::Approve,
            revision: status.last_applied_spec,
            who: "dana@example.com".into(),
            at: now,
            why: "looked at the dashboards".into(),
            gate: String::new(),
        };
        let key = CanaryKey::new(text(&canary, "/metadata/namespace"), text(&canary, "/metadata/name"));
        verbs::send(&access, &key, &intent).await.map_err(|e| e.to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_promise_of_the_demo_is_a_beat() {
        let all = telling(&Cloud::ALL);
        let has = |place: usize, beat: Beat| all.iter().any(|(_, p, b)| *p == Some(place) && *b == beat);
        assert!(has(0, Beat::Unreachable) && has(0, Beat::Reachable), "one is unreachable for a while");
        assert!(!has(0, Beat::Bump(3)), "one is behind");
        assert!(has(1, Beat::Bump(1)), "one waits for approval");
        assert!(has(2, Beat::Bump(2)) && release(0, 2, 1).quality != Quality::Good, "one release is bad");
        assert!(all.is_sorted_by_key(|(at, ..)| *at) && all.iter().all(|(at, ..)| *at < length(3)));
        // A release is tagged before anybody pins it.
        for (at, _, beat) in &all {
            if let Beat::Bump(n) = beat {
                assert!(VENDOR.iter().any(|(tagged, b)| *b == Beat::Tag(*n) && tagged < at));
            }
        }
        assert_eq!((release(0, 1, 0).tag(), release(1, 1, 0).tag()), ("1.1.0".into(), "1.4.0".into()));
    }

    #[test]
    fn a_large_fleet_does_not_move_in_step() {
        let clouds: Vec<_> = (0..60).map(|i| Cloud::ALL[i % 3]).collect();
        let mut at: Vec<_> = telling(&clouds).into_iter().filter(|(_, _, b)| matches!(b, Beat::Bump(1))).map(|(at, ..)| at).collect();
        let all = at.len();
        at.dedup();
        assert!(all == 40 && at.len() == 40, "{} of {all} moments differ", at.len());
        assert!(at.last().is_some_and(|at| *at < length(60)));
    }
}
