//! `steth doctor`: what this kernel allows, what would be chosen and why, and what fixes the rest.

use std::process::ExitCode;
use steth_probe::{Probe, Settings, doctor};

pub(crate) fn run() -> ExitCode {
    let mut missing = 0;
    for check in doctor::checks() {
        let mark = if check.ok { "ok     " } else { "MISSING" };
        println!("{mark} {:<24} {}", check.name, check.found);
        if !check.ok {
            missing += 1;
            println!("        fix: {}", check.fix);
        }
    }
    if missing > 0 {
        crate::say::say!("{missing} of the above must be fixed before the agent can attach");
        return ExitCode::FAILURE;
    }
    println!("note    {:<24} {}", "other agents", doctor::agents());
    // The only proof that it attaches is to attach.
    match Probe::attach(&Settings { ring_bytes: 64 * 1024, ..Settings::default() }) {
        Ok(probe) => {
            println!("ok      {:<24} sock tracepoints, chosen because all of them load and attach", "hook family");
            for program in probe.statistics() {
                println!("          {:<22} {} instructions verified", program.name, program.verified_instructions);
            }
            println!("ok      {:<24} BPF ring buffer, socket-local storage, socket iterator", "maps");
            println!(
                "note    {:<24} socket functions (5.10 to 6.2) and syscall exit are not built yet",
                "other hook families"
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("MISSING {:<24} {error}", "hook family");
            crate::say::say!("the programs do not attach; STETH_BPF_LOG=1 shows the verifier's whole log");
            ExitCode::FAILURE
        }
    }
}
