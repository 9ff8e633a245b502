//! How much memory this process may use at all.

/// The least of the machine's memory, the control group's limit and the limit on the address space, as far as the system tells them.
pub(super) fn bytes() -> usize {
    let known = [physical(), control_group(), address_space()];
    known.into_iter().flatten().filter(|&n| n > 0).min().unwrap_or(usize::MAX)
}

#[cfg(unix)]
fn physical() -> Option<usize> {
    // Miri does not know the number.
    if cfg!(miri) {
        return None;
    }
    // SAFETY: `sysconf` reads a number of the system; it takes and returns plain numbers. Tested below.
    let read = |name| usize::try_from(unsafe { libc::sysconf(name) }).ok();
    read(libc::_SC_PHYS_PAGES)?.checked_mul(read(libc::_SC_PAGESIZE)?)
}

#[cfg(unix)]
fn address_space() -> Option<usize> {
    // Miri does not know the call.
    if cfg!(miri) {
        return None;
    }
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `getrlimit` writes one `rlimit`, which is ours. Tested below.
    if unsafe { libc::getrlimit(libc::RLIMIT_AS, &mut limit) } != 0 || limit.rlim_cur == libc::RLIM_INFINITY {
        return None;
    }
    usize::try_from(limit.rlim_cur).ok()
}

/// Bytes that the process may still map where its address space is limited: also the stacks of threads count there.
#[cfg(unix)]
pub(crate) fn addresses_left() -> Option<usize> {
    let limit = address_space()?;
    let statistics = std::fs::read_to_string("/proc/self/statm").ok()?;
    let mapped: usize = statistics.split_ascii_whitespace().next()?.parse().ok()?;
    // SAFETY: as in `physical`.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok()?;
    Some(limit.saturating_sub(mapped.saturating_mul(page)))
}

#[cfg(windows)]
pub(crate) fn addresses_left() -> Option<usize> {
    None
}

#[cfg(windows)]
fn physical() -> Option<usize> {
    /// `MEMORYSTATUSEX` of sysinfoapi.h.
    #[repr(C)]
    #[derive(Default)]
    struct Status {
        length: u32,
        load: u32,
        physical: u64,
        others: [u64; 6],
    }
    #[link(name = "kernel32")]
    extern "system" {
        fn GlobalMemoryStatusEx(status: *mut Status) -> i32;
    }
    let mut status = Status { length: size_of::<Status>() as u32, ..Status::default() };
    // SAFETY: the call fills one structure of the length that it is told, which is ours. Tested below.
    if unsafe { GlobalMemoryStatusEx(&mut status) } == 0 {
        return None;
    }
    usize::try_from(status.physical).ok()
}

#[cfg(windows)]
fn address_space() -> Option<usize> {
    None
}

/// The limit of the control group that a container sets, and of the groups around it.
#[cfg(target_os = "linux")]
fn control_group() -> Option<usize> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    groups.lines().filter_map(limit_files).flatten().filter_map(|file| read_limit(&file)).min()
}

#[cfg(not(target_os = "linux"))]
fn control_group() -> Option<usize> {
    None
}

/// The files that may hold the memory limit of one line of `/proc/self/cgroup`: the group's own and those of the groups around it.
#[cfg(target_os = "linux")]
fn limit_files(line: &str) -> Option<Vec<std::path::PathBuf>> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (controllers, path) = (fields.next()?, fields.next()?);
    let (root, file) = match controllers {
        "" => ("/sys/fs/cgroup", "memory.max"),
        c if c.split(',').any(|c| c == "memory") => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        _ => return None,
    };
    let groups = std::path::Path::new(path.trim_start_matches('/')).ancestors();
    Some(groups.map(|group| std::path::Path::new(root).join(group).join(file)).collect())
}

/// The number in a limit's file; none for `max`.
#[cfg(target_os = "linux")]
fn read_limit(file: &std::path::Path) -> Option<usize> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_some_memory() {
        let physical = physical().expect("a machine with memory");
        assert!(physical > 64 << 20 && physical < 1 << 50, "{physical} bytes");
        assert!(bytes() <= physical && bytes() > 16 << 20);
        assert!(address_space().is_none_or(|n| n >= bytes()));
        assert!(addresses_left().is_none_or(|n| n > 0 && n < address_space().expect("a limit")));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn limits_of_control_groups_are_looked_for_upwards() {
        let show =
            |line| limit_files(line).map(|files| files.iter().map(|f| f.display().to_string()).collect::<Vec<_>>());
        let expected = ["/sys/fs/cgroup/a/b/memory.max", "/sys/fs/cgroup/a/memory.max", "/sys/fs/cgroup/memory.max"];
        assert_eq!(show("0::/a/b"), Some(expected.map(str::to_owned).to_vec()));
        assert_eq!(show("7:cpu,memory:/"), Some(vec!["/sys/fs/cgroup/memory/memory.limit_in_bytes".to_owned()]));
        assert_eq!(show("3:cpuset:/a"), None);
        assert_eq!(show("nonsense"), None);
        let file = std::env::temp_dir().join(format!("tallow-limit-{}", std::process::id()));
        for (text, limit) in [("max\n", None), ("1073741824\n", Some(1 << 30))] {
            std::fs::write(&file, text).expect("a file");
            assert_eq!(read_limit(&file), limit);
        }
        std::fs::remove_file(&file).expect("the file");
    }
}
