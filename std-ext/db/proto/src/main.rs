//! Makes `../src/grpc/generated.rs` from `../hedgerow.proto`. The result is committed, so that users
//! need not build this; CI generates it again and compares.

use std::error::Error;
use std::fs;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (package, made) = (here.join(".."), here.join("target/made"));
    fs::create_dir_all(&made)?;
    let description = protox::Compiler::new([&package])?
        .include_source_info(false)
        .include_imports(true)
        .open_file("hedgerow.proto")?
        .encode_file_descriptor_set();
    let with_comments = protox::compile(["hedgerow.proto"], [&package])?;
    tonic_prost_build::configure()
        .bytes(".")
        .codec_path("crate::grpc::codec::BoundedCodec")
        .out_dir(&made)
        .compile_fds(with_comments)?;
    let code = fs::read_to_string(made.join("hedgerow.db.v1.rs"))?;
    let description = description.escape_ascii();
    let description = format!(
        "/// The descriptors of `hedgerow.proto`, for reflection.\npub const DESCRIPTION: &[u8] = b\"{description}\";\n"
    );
    fs::write(package.join("src/grpc/generated.rs"), code + &description)?;
    Ok(())
}
