//! Writes the seeds that come from recordings: `cargo run -p steth-fuzz --example recorded`. Run it again when a recording changes; a
//! test says when they differ.

use std::error::Error;
use std::fs;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (folder, name, script) in steth_fuzz::recorded::of_all(&home.join("../recordings"))? {
        fs::write(home.join("seeds").join(folder).join(name), script)?;
    }
    Ok(())
}
