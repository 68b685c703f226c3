//! How traffic is divided.

/// The canary's part; the primary has the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Traffic {
    /// Percent, 0 to 100. Where requests are chosen by what they carry (A/B), 100 is "those that match".
    pub canary: i64,
    /// Copies of the primary's requests go to the canary, their answers nowhere.
    pub mirrored: bool,
}

impl Traffic {
    /// Everything goes to the primary.
    pub const PRIMARY: Self = Self { canary: 0, mirrored: false };

    /// `canary` percent, nothing mirrored.
    #[must_use]
    pub const fn weight(canary: i64) -> Self {
        Self { canary, mirrored: false }
    }
}

/// Values of the session cookies, `NAME=VALUE` each, empty where there is none (rollout-contract §2.6).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cookies {
    /// Keeps a client with the canary.
    pub canary: String,
    /// Keeps a client with the primary.
    pub primary: String,
    /// The canary cookie of the run before: answered with an order to drop it.
    pub previous: String,
}

/// What a router can do (rollout-contract §2.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    pub progressive: bool,
    pub ab_testing: bool,
    pub blue_green: bool,
    /// Mirrors while iterations run (blue/green).
    pub mirror_iterations: bool,
    /// Mirrors before the first weight of a progressive canary.
    pub mirror_progressive: bool,
    pub session_affinity: bool,
}

impl Abilities {
    /// Without route objects: iterations, while users stay with the primary.
    pub const NONE: Self = Self {
        progressive: false,
        ab_testing: false,
        blue_green: true,
        mirror_iterations: false,
        mirror_progressive: false,
        session_affinity: false,
    };
}
