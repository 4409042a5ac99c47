//! File systems on which locks and syncs do not promise what a store needs.

use std::path::Path;

/// The name of the network file system that a path is on, if it is on one. A path that is not there is judged by its
/// nearest parent; where the system does not tell, the answer is none.
#[must_use]
pub fn file_system(path: &Path) -> Option<&'static str> {
    path.ancestors().find_map(of_existing).flatten()
}

#[cfg(target_os = "linux")]
fn of_existing(path: &Path) -> Option<Option<&'static str>> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    Some(name_of(rustix::fs::statfs(path).ok()?.f_type.into()))
}

#[cfg(not(target_os = "linux"))]
fn of_existing(_path: &Path) -> Option<Option<&'static str>> {
    None
}

#[cfg(any(target_os = "linux", test))]
fn name_of(magic: i128) -> Option<&'static str> {
    // The field is signed, and of another width on other platforms; the numbers have 32 bits.
    Some(match magic & 0xffff_ffff {
        0x6969 => "NFS",
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => "SMB/CIFS",
        0x6573_5546 => "FUSE (sshfs?)",
        0x0102_1997 => "9p",
        0x5346_414f => "AFS",
        0x00c3_6400 => "Ceph",
        _ => return None,
    })
}

/// What to say of a store on one.
#[must_use]
pub fn warning(name: &str) -> String {
    format!(
        "this is a {name} file system: locks between machines and syncs may not hold there, so a power cut or a second \
         writer can cost acknowledged events; a local file system is safe"
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{file_system, name_of};

    #[test]
    fn the_list_names_network_file_systems_and_no_local_one() {
        for (magic, name) in [
            (0x6969, Some("NFS")),
            (0xff53_4d42, Some("SMB/CIFS")),
            (0x6573_5546, Some("FUSE (sshfs?)")),
            (0x0102_1997, Some("9p")),
            (0xef53, None),
            (0x0102_1994, None),
            (0x5846_5342, None),
        ] {
            assert_eq!(name_of(magic), name, "{magic:#x}");
        }
    }

    #[test]
    fn a_path_that_is_not_there_is_judged_by_its_parent() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert_eq!(file_system(&here.join("not/there")), file_system(here));
    }
}
