//! Read smaps of a process with the crate procfs, and print the sum of Rss in kB.

use procfs::process::Process;

fn main() {
    let pid = std::env::args().nth(1).expect("usage: peer PID");
    let process = Process::new(pid.parse().expect("expected a pid")).expect("no such process");
    let mappings = process.smaps().expect("smaps cannot be read");
    let bytes: u64 = mappings
        .iter()
        .filter_map(|(_, data)| data.map.get("Rss"))
        .sum();
    println!("{}", bytes / 1024);
}
