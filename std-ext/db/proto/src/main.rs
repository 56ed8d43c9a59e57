//! Makes `../src/grpc/generated.rs` and `../src/grpc/description.bin` from `hedgerow.proto`. What they hold is committed,
//! so that nobody else builds this, or needs protoc; CI makes them anew and compares.

use std::error::Error;
use std::fs;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let into = here.join("../src/grpc");
    let made = here.join("target/made");
    fs::create_dir_all(&made)?;
    let description = protox::Compiler::new([here])?
        .include_source_info(false)
        .include_imports(true)
        .open_file("hedgerow.proto")?
        .encode_file_descriptor_set();
    fs::write(into.join("description.bin"), &description)?;
    let with_comments = protox::compile(["hedgerow.proto"], [here])?;
    tonic_prost_build::configure().bytes(".").out_dir(&made).compile_fds(with_comments)?;
    fs::copy(made.join("hedgerow.db.v1.rs"), into.join("generated.rs"))?;
    Ok(())
}
