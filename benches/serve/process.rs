//! What this process has used: CPU time and resident memory, as Linux tells them.

use std::fs;
use std::time::Duration;

/// CPU time of all threads of this process, user and system, to the nanosecond (`/proc/PID/task/TID/schedstat`).
pub(crate) fn cpu_time() -> Duration {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux");
    let nanoseconds = tasks.filter_map(|task| {
        // A thread may end between the listing and the reading.
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// Resident memory of this process (`VmRSS`) in megabytes.
pub(crate) fn resident() -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u32>().ok());
    f64::from(kilobytes.expect("Linux says VmRSS in kB")) * 1.024e-3
}
