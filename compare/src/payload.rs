//! Deterministic JSON-ish orchestration events of an exact byte length.

pub struct Gen {
    size: usize,
    buf: Vec<u8>,
}

const KINDS: [&str; 8] = [
    "RUN_CREATED",
    "EFFECT_REQUESTED",
    "EFFECT_RESOLVED",
    "BREAKPOINT_OPENED",
    "BREAKPOINT_APPROVED",
    "TASK_STARTED",
    "TASK_COMPLETED",
    "HOOK_ROUTED",
];
const WORDS: [&str; 16] = [
    "plan",
    "shell",
    "review",
    "merge",
    "deploy",
    "verify",
    "tests/unit",
    "src/engine.rs",
    "exit_code",
    "stdout",
    "harness",
    "plugin",
    "approve",
    "rollback",
    "retry",
    "timeout",
];

#[inline]
pub fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Prefix by which an event can be recognised on disk and in a read.
pub fn marker(seq: u64) -> String {
    format!("{{\"seq\":{seq:010},\"k\":\"")
}

impl Gen {
    pub fn new(size: usize) -> Self {
        assert!(size >= 64);
        Gen { size, buf: Vec::with_capacity(size + 128) }
    }
    /// The event with this sequence number; same input, same bytes.
    pub fn event(&mut self, seq: u64) -> &[u8] {
        let b = &mut self.buf;
        b.clear();
        let mut r = mix(seq);
        b.extend_from_slice(b"{\"seq\":");
        let mut d = [b'0'; 10];
        let mut s = seq;
        for i in (0..10).rev() {
            d[i] = b'0' + (s % 10) as u8;
            s /= 10;
        }
        b.extend_from_slice(&d);
        b.extend_from_slice(b",\"k\":\"");
        b.extend_from_slice(KINDS[(r & 7) as usize].as_bytes());
        b.extend_from_slice(b"\",\"p\":\"");
        while b.len() + 2 < self.size {
            r = mix(r);
            b.extend_from_slice(WORDS[(r & 15) as usize].as_bytes());
            b.push(b' ');
            let mut h = r >> 8;
            for _ in 0..12 {
                b.push(b"0123456789abcdef"[(h & 15) as usize]);
                h >>= 4;
            }
            b.push(b',');
        }
        b.truncate(self.size - 2);
        b.extend_from_slice(b"\"}");
        b
    }
}

/// A pool of ready events, so that generating them costs nothing inside a timed loop
/// beyond patching ten digits.
pub struct Pool {
    events: Vec<Vec<u8>>,
}
impl Pool {
    pub fn new(size: usize) -> Self {
        let n = (4 << 20) / size;
        let n = n.clamp(64, 4096);
        let mut g = Gen::new(size);
        Pool { events: (0..n as u64).map(|i| g.event(i).to_vec()).collect() }
    }
    #[inline]
    pub fn event(&mut self, seq: u64) -> &[u8] {
        let n = self.events.len();
        let e = &mut self.events[(seq as usize) % n];
        let mut s = seq;
        for i in (0..10).rev() {
            e[7 + i] = b'0' + (s % 10) as u8;
            s /= 10;
        }
        e
    }
}

#[inline]
pub fn seq_of(p: &[u8]) -> Option<u64> {
    if p.len() < 18 || &p[..7] != b"{\"seq\":" {
        return None;
    }
    let mut v = 0u64;
    for &c in &p[7..17] {
        if !c.is_ascii_digit() {
            return None;
        }
        v = v * 10 + (c - b'0') as u64;
    }
    Some(v)
}

/// The trivial state every replay folds into.
#[derive(Default, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fold {
    pub count: u64,
    pub bytes: u64,
    pub xor: u64,
}
impl Fold {
    #[inline]
    pub fn add(&mut self, p: &[u8]) {
        self.count += 1;
        self.bytes += p.len() as u64;
        let (c, rest) = p.as_chunks::<8>();
        let mut x = 0u64;
        for w in c {
            x ^= u64::from_le_bytes(*w);
        }
        for &b in rest {
            x = x.rotate_left(8) ^ b as u64;
        }
        self.xor = self.xor.rotate_left(1) ^ x;
    }
}
