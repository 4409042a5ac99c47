//! The sample runs of `taffrail demo`, in the binary.

macro_rules! files {
    ($($path:literal)*) => {
        /// Every file: its path, and its bytes.
        pub(crate) const FILES: &[(&str, &[u8])] = &[$(($path, include_bytes!(concat!("../demo/", $path)))),*];
    };
}

files! {
    ".a5c/runs/fix-login/inputs.json"
    ".a5c/runs/fix-login/journal/000001.01M0CQE6GRV9MEYM0N5WPSQM5E.json"
    ".a5c/runs/fix-login/journal/000002.01M0CQEXYR1KB29XF5Y2KDB5MA.json"
    ".a5c/runs/fix-login/journal/000003.01M0CQFNCR48FB8JWQWMBNV9PB.json"
    ".a5c/runs/fix-login/journal/000004.01M0CQGCTRHAN5QM6TH0P8PQ1W.json"
    ".a5c/runs/fix-login/journal/000005.01M0CQH48RNNN782C4YCA7JV33.json"
    ".a5c/runs/fix-login/journal/000006.01M0CQHVPR30550QNZYV3DQ1Q6.json"
    ".a5c/runs/fix-login/journal/000007.01M0CQJK4RSF8NYRTQEES36CQ9.json"
    ".a5c/runs/fix-login/run.json"
    ".a5c/runs/fix-login/run.lock"
    ".a5c/runs/fix-login/tasks/01M0CQEXYREA40W926NCRE09JJ/result.json"
    ".a5c/runs/fix-login/tasks/01M0CQEXYREA40W926NCRE09JJ/task.json"
    ".a5c/runs/fix-login/tasks/01M0CQGCTR0RXR8C5Z3TJ7AF81/result.json"
    ".a5c/runs/fix-login/tasks/01M0CQGCTR0RXR8C5Z3TJ7AF81/stdout.log"
    ".a5c/runs/fix-login/tasks/01M0CQGCTR0RXR8C5Z3TJ7AF81/task.json"
    ".a5c/runs/nightly-7/artifacts/report.md"
    ".a5c/runs/nightly-7/inputs.json"
    ".a5c/runs/nightly-7/journal/000001.01M0E5RD600F50GRJAFJ2C62PA.json"
    ".a5c/runs/nightly-7/journal/000002.01M0E5S2NGGHYSY237GV6TV293.json"
    ".a5c/runs/nightly-7/journal/000003.01M0E5SR50MH0K679FN7PKSHM3.json"
    ".a5c/runs/nightly-7/journal/000004.01M0E5TDMGNXRD8BAMH2AM02WY.json"
    ".a5c/runs/nightly-7/journal/000005.01M0E5V340G4S6ZXDMDW5CM1P4.json"
    ".a5c/runs/nightly-7/journal/000006.01M0E5VRKGFTRZN7XHDGFNB3B0.json"
    ".a5c/runs/nightly-7/journal/000007.01M0E5WE30SABCFJN8MT8F6KGH.json"
    ".a5c/runs/nightly-7/journal/000008.01M0E5X3JGTTB8C65X8H8BW1M8.json"
    ".a5c/runs/nightly-7/journal/000009.01M0E5XS20RQSE2BBQ2P0P86F1.json"
    ".a5c/runs/nightly-7/journal/000010.01M0E5YEHGFEJV5BF2G4YBDMP6.json"
    ".a5c/runs/nightly-7/journal/000011.01M0E5Z410P6MF0C8TMS8SNKTZ.json"
    ".a5c/runs/nightly-7/journal/000012.01M0E5ZSGG2EH5TQSBRKD6P89C.json"
    ".a5c/runs/nightly-7/journal/000013.01M0E60F00ATM3E189B0F53E3Q.json"
    ".a5c/runs/nightly-7/journal/000014.01M0E614FG9M7WW5X9N71MDK7A.json"
    ".a5c/runs/nightly-7/journal/000015.01M0E61SZ0RZ5JZ69D8DKSX6XN.json"
    ".a5c/runs/nightly-7/journal/000016.01M0E62FEGG5F3GBYW7KJFKX1P.json"
    ".a5c/runs/nightly-7/journal/000017.01M0E634Y0WWWDKKR5S3BWRK86.json"
    ".a5c/runs/nightly-7/journal/000018.01M0E63TDGS9WJKVMYXCTAJ9GD.json"
    ".a5c/runs/nightly-7/journal/000019.01M0E64FX06W4SN3SMFWPJBH30.json"
    ".a5c/runs/nightly-7/journal/000020.01M0E655CGC4YRATT7SPGDYZDZ.json"
    ".a5c/runs/nightly-7/journal/000021.01M0E65TW02011SPBGSSAGJYT9.json"
    ".a5c/runs/nightly-7/journal/000022.01M0E66GBG8XBFCBKH5F53WM4G.json"
    ".a5c/runs/nightly-7/journal/000023.01M0E675V0MTY7B3EH9JY68VHN.json"
    ".a5c/runs/nightly-7/journal/000024.01M0E67VAGQQKTS6EYRDC477X0.json"
    ".a5c/runs/nightly-7/journal/000025.01M0E68GT08GEHA7REJM23A0R0.json"
    ".a5c/runs/nightly-7/journal/000026.01M0E6969GXJYVF8WBDCS5VMHV.json"
    ".a5c/runs/nightly-7/journal/000027.01M0E69VS0F6T4PK5JGV3BR47K.json"
    ".a5c/runs/nightly-7/journal/000028.01M0E6AH8GYTFPV9A44DQ44CMN.json"
    ".a5c/runs/nightly-7/journal/000029.01M0E6B6R0EKYQH0TB73595NZS.json"
    ".a5c/runs/nightly-7/journal/000030.01M0E6BW7GGGQ4W1J53WK8X6NY.json"
    ".a5c/runs/nightly-7/journal/000031.01M0E6CVFGRY9N1KS6SCTETYYN.json"
    ".a5c/runs/nightly-7/run.json"
    ".a5c/runs/nightly-7/state/output.json"
    ".a5c/runs/nightly-7/tasks/01M0E5SR508G5Z4QS90R77NWWC/result.json"
    ".a5c/runs/nightly-7/tasks/01M0E5SR508G5Z4QS90R77NWWC/stdout.log"
    ".a5c/runs/nightly-7/tasks/01M0E5SR508G5Z4QS90R77NWWC/task.json"
    ".a5c/runs/nightly-7/tasks/01M0E5V340XGV8AWDBCBM28846/result.json"
    ".a5c/runs/nightly-7/tasks/01M0E5V340XGV8AWDBCBM28846/stdout.log"
    ".a5c/runs/nightly-7/tasks/01M0E5V340XGV8AWDBCBM28846/task.json"
    ".a5c/runs/nightly-7/tasks/01M0E5WE308EY21PS0B13BVW0M/result.json"
    ".a5c/runs/nightly-7/tasks/01M0E5WE308EY21PS0B13BVW0M/stdout.log"
    ".a5c/runs/nightly-7/tasks/01M0E5WE308EY21PS0B13BVW0M/task.json"
    ".a5c/runs/nightly-7/tasks/01M0E5XS203N8K8X2MX9KX0N60/result.json"
    ".a5c/runs/nightly-7/tasks/01M0E5XS203N8K8X2MX9KX0N60/stdout.log"
    ".a5c/runs/nightly-7/tasks/01M0E5XS203N8K8X2MX9KX0N60/task.json"
    ".a5c/runs/nightly-7/tasks/01M0E5Z4104A9R007JG9KH5ZBT/result.json"
    ".a5c/runs/nightly-7/tasks/01M0E5Z4104A9R007JG9KH5ZBT/stdout.log"
    ".a5c/runs/nightly-7/tasks/01M0E5Z4104A9R007JG9KH5ZBT/task.json"
    ".a5c/runs/nightly-7/tasks/01M0E614FG3CAWNN7WS859NXCX/result.json"
    ".a5c/runs/nightly-7/tasks/01M0E614FG3CAWNN7WS859NXCX/task.json"
    ".a5c/runs/nightly-7/tasks/01M0E634Y0S4Q5CHPYZDPMX2Y5/result.json"
    ".a5c/runs/nightly-7/tasks/01M0E634Y0S4Q5CHPYZDPMX2Y5/task.json"
    ".a5c/runs/nightly-7/tasks/01M0E655CGRFHV7H8N8V460Q06/result.json"
    ".a5c/runs/nightly-7/tasks/01M0E655CGRFHV7H8N8V460Q06/task.json"
    ".a5c/runs/nightly-7/tasks/01M0E67VAGW4VAHP1JDFC4GDSE/result.json"
    ".a5c/runs/nightly-7/tasks/01M0E67VAGW4VAHP1JDFC4GDSE/task.json"
    ".a5c/runs/nightly-7/tasks/01M0E69VS0CPCX2AWPGQM2AFKM/result.json"
    ".a5c/runs/nightly-7/tasks/01M0E69VS0CPCX2AWPGQM2AFKM/task.json"
    ".a5c/runs/release-42/inputs.json"
    ".a5c/runs/release-42/journal/000001.01M0FFK0CJCK7CDV87E7D0MAAG.json"
    ".a5c/runs/release-42/journal/000002.01M0FFMWT0PFWN8QC3RAZVZQ1Q.json"
    ".a5c/runs/release-42/journal/000003.01M0FFPS7EDACJRN1WP62HR670.json"
    ".a5c/runs/release-42/journal/000004.01M0FFRNMWJYD6EGY1TYQNKRHF.json"
    ".a5c/runs/release-42/journal/000005.01M0FFTJ2AY0EBYH1F8QS4M5A2.json"
    ".a5c/runs/release-42/journal/000006.01M0FFWEFRVP4CRRRJPSPW6X95.json"
    ".a5c/runs/release-42/journal/000007.01M0FFYAX6TGE9JRBFR2TSF6WB.json"
    ".a5c/runs/release-42/journal/000008.01M0FG07AM835QMNJ711EH7ME6.json"
    ".a5c/runs/release-42/journal/000009.01M0FG23R27VD01Z1TANZ65GPK.json"
    ".a5c/runs/release-42/journal/000010.01M0FG405GW64K36JQ25S5EYAJ.json"
    ".a5c/runs/release-42/journal/000011.01M0FG5WJYNWEA2A8668KQZ6B7.json"
    ".a5c/runs/release-42/journal/000012.01M0FG7S0CPDSK24E9QWN3T97B.json"
    ".a5c/runs/release-42/journal/000013.01M0FG9NDT8APZ4AJXA296DWTA.json"
    ".a5c/runs/release-42/journal/000014.01M0FGBHV8RW9WV3VP3YWNRP4P.json"
    ".a5c/runs/release-42/journal/000015.01M0FGDE8PK37GKKQZEX1AFD0B.json"
    ".a5c/runs/release-42/journal/000016.01M0FGFAP4EDEZK22C54QVV6DC.json"
    ".a5c/runs/release-42/journal/000017.01M0FGH73J3Y4TN6HKRCSQCVA6.json"
    ".a5c/runs/release-42/journal/000018.01M0FGK3H0S8TQ06VH9QTR6XGW.json"
    ".a5c/runs/release-42/journal/000019.01M0FGMZYETC2VFHSWGFZ6Y1FB.json"
    ".a5c/runs/release-42/journal/000020.01M0FGPWBWA815Z0SEG1SPST0E.json"
    ".a5c/runs/release-42/journal/000021.01M0FGRRSAV7DC6GQ11WRXV830.json"
    ".a5c/runs/release-42/journal/000022.01M0FGXM98R14T64FJNQ8VK0NC.json"
    ".a5c/runs/release-42/journal/000023.01M0FH67WYPR8Q1N73FK1KY78R.json"
    ".a5c/runs/release-42/run.json"
    ".a5c/runs/release-42/tasks/01M0FFMWT0N7NQ1TB3XYYEK6SG/result.json"
    ".a5c/runs/release-42/tasks/01M0FFMWT0N7NQ1TB3XYYEK6SG/task.json"
    ".a5c/runs/release-42/tasks/01M0FFTJ2AJMKNNR1WRH4N1F4C/result.json"
    ".a5c/runs/release-42/tasks/01M0FFTJ2AJMKNNR1WRH4N1F4C/task.json"
    ".a5c/runs/release-42/tasks/01M0FFYAX6PZ4WAK3F7V5M6DQ4/result.json"
    ".a5c/runs/release-42/tasks/01M0FFYAX6PZ4WAK3F7V5M6DQ4/stdout.log"
    ".a5c/runs/release-42/tasks/01M0FFYAX6PZ4WAK3F7V5M6DQ4/task.json"
    ".a5c/runs/release-42/tasks/01M0FG23R2YT016SZCCGVP5C16/result.json"
    ".a5c/runs/release-42/tasks/01M0FG23R2YT016SZCCGVP5C16/task.json"
    ".a5c/runs/release-42/tasks/01M0FG7S0CGG0DTPYNZ1T20EKP/result.json"
    ".a5c/runs/release-42/tasks/01M0FG7S0CGG0DTPYNZ1T20EKP/task.json"
    ".a5c/runs/release-42/tasks/01M0FGDE8P2QAH861T3MHDPCQT/result.json"
    ".a5c/runs/release-42/tasks/01M0FGDE8P2QAH861T3MHDPCQT/stdout.log"
    ".a5c/runs/release-42/tasks/01M0FGDE8P2QAH861T3MHDPCQT/task.json"
    ".a5c/runs/release-42/tasks/01M0FGH73J4NVT2562ZSYY46QM/result.json"
    ".a5c/runs/release-42/tasks/01M0FGH73J4NVT2562ZSYY46QM/stdout.log"
    ".a5c/runs/release-42/tasks/01M0FGH73J4NVT2562ZSYY46QM/task.json"
    ".a5c/runs/release-42/tasks/01M0FGMZYEC2F5SNQNY0SFSBR9/result.json"
    ".a5c/runs/release-42/tasks/01M0FGMZYEC2F5SNQNY0SFSBR9/stdout.log"
    ".a5c/runs/release-42/tasks/01M0FGMZYEC2F5SNQNY0SFSBR9/task.json"
    ".a5c/runs/release-42/tasks/01M0FGXM98KZGJ507G7J8DKQ4K/task.json"
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::FILES;

    fn collect(root: &Path, directory: &Path, found: &mut Vec<String>) {
        for entry in directory.read_dir().expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                collect(root, &path, found);
            } else {
                found.push(path.strip_prefix(root).expect("below").to_string_lossy().into_owned());
            }
        }
    }

    /// If this fails, list the files of cli/demo above, in order.
    #[test]
    fn every_file_of_the_demo_is_in_the_binary() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo");
        let mut found = Vec::new();
        collect(&root, &root, &mut found);
        found.sort();
        let listed: Vec<&str> = FILES.iter().map(|(path, _)| *path).collect();
        assert_eq!(listed, found);
    }
}
