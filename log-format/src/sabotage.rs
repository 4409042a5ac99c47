//! Ways to break the engine on purpose: the proof that the lab's checks can fail.
//!
//! Nothing of this is in a program that people use: it takes the feature `sabotage`, *and* a build with debug assertions, which
//! no release build has; and then the environment variable `TAFFRAIL_SABOTAGE` has to name one. Otherwise [`is`] is the constant
//! `false`, and what it would have done is not even compiled in.

/// What is done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// The directory of segments is not synced when a segment has been made.
    SkipDirSync,
    /// An append is acknowledged as durable without a sync.
    AckBeforeSync,
    /// A frame's header counts as proven whatever its CRC says, so its length is believed.
    TrustLengthBeforeCrc,
    /// A sync that failed counts as one that did not.
    IgnoreFailedSync,
    /// Whatever is bad at the end of the log counts as torn, and is cut.
    TruncateOnBadFrame,
    /// A payload counts as good whatever its CRC says.
    SkipPayloadCrc,
    /// Frames do not say what was durable when they were written.
    ForgetLag,
    /// The watermark is not asked when a tail is judged.
    SkipWatermark,
    /// `LOCK` and the snapshots are not asked when a tail is judged.
    SkipLockEvidence,
    /// `LOCK` is believed whatever boot wrote it.
    BelieveStaleLock,
    /// After a holder that died or failed, the page cache is believed.
    NoCacheDrop,
    /// A torn tail is cut in the plan, and its bytes stay where they are.
    SkipZeroing,
    /// A torn tail is cut, and no event tells of it.
    SkipRecovered,
    /// A batch's frames are not marked as one batch.
    SplitBatches,
    /// A failed write does not stop the journal.
    NoPoison,
    /// A compaction removes the segments before the new one bears their name.
    RemoveBeforeReplace,
    /// A compaction does not sync the new segments that it writes.
    SkipRewriteSync,
}

impl Sabotage {
    /// All of them, with the names that the environment variable takes.
    pub const ALL: [(Sabotage, &'static str); 17] = [
        (Sabotage::SkipDirSync, "skip-dir-sync"),
        (Sabotage::AckBeforeSync, "ack-before-sync"),
        (Sabotage::TrustLengthBeforeCrc, "trust-length-before-crc"),
        (Sabotage::IgnoreFailedSync, "ignore-failed-sync"),
        (Sabotage::TruncateOnBadFrame, "truncate-on-bad-frame"),
        (Sabotage::SkipPayloadCrc, "skip-payload-crc"),
        (Sabotage::ForgetLag, "forget-lag"),
        (Sabotage::SkipWatermark, "skip-watermark"),
        (Sabotage::SkipLockEvidence, "skip-lock-evidence"),
        (Sabotage::BelieveStaleLock, "believe-stale-lock"),
        (Sabotage::NoCacheDrop, "no-cache-drop"),
        (Sabotage::SkipZeroing, "skip-zeroing"),
        (Sabotage::SkipRecovered, "skip-recovered"),
        (Sabotage::SplitBatches, "split-batches"),
        (Sabotage::NoPoison, "no-poison"),
        (Sabotage::RemoveBeforeReplace, "remove-before-replace"),
        (Sabotage::SkipRewriteSync, "skip-rewrite-sync"),
    ];
}

/// Whether the engine is to be broken in this way.
#[cfg(all(feature = "sabotage", debug_assertions))]
#[must_use]
#[allow(clippy::panic, reason = "a misspelt sabotage must not pass for one that went unnoticed")]
pub fn is(sabotage: Sabotage) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<Sabotage>> = std::sync::OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| {
        let name = std::env::var("TAFFRAIL_SABOTAGE").ok()?;
        match Sabotage::ALL.iter().find(|(_, known)| *known == name) {
            Some((sabotage, _)) => Some(*sabotage),
            None => panic!("TAFFRAIL_SABOTAGE: there is no {name:?}"),
        }
    });
    *chosen == Some(sabotage)
}

/// Whether the engine is to be broken in this way: never, in this build.
#[cfg(not(all(feature = "sabotage", debug_assertions)))]
#[must_use]
pub const fn is(_sabotage: Sabotage) -> bool {
    false
}
