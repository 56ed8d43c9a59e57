//! Makes the database's gRPC code from its descriptions. The results are committed, so that users
//! need not build this; CI generates them again and compares.

use std::error::Error;
use std::fs;
use std::path::Path;

/// A description, and the code that is made of it.
struct Description {
    /// The folder of the description, relative to the database's package.
    folder: &'static str,
    /// The description's file in that folder.
    file: &'static str,
    /// The package that the description names.
    package: &'static str,
    /// The code that is made, relative to the database's package.
    code: &'static str,
    /// The codec of the services, if it is not prost's.
    codec: Option<&'static str>,
    /// Whether the code has a client for each service.
    client: bool,
    /// Whether only tests have the servers.
    server_in_tests: bool,
    /// The documentation of the descriptors, if the code has them, for reflection.
    descriptors: Option<&'static str>,
}

const DESCRIPTIONS: &[Description] = &[
    Description {
        folder: ".",
        file: "hedgerow.proto",
        package: "hedgerow.db.v1",
        code: "src/grpc/generated.rs",
        codec: Some("crate::grpc::codec::BoundedCodec"),
        client: true,
        server_in_tests: false,
        descriptors: Some("The descriptors of `hedgerow.proto`, for reflection."),
    },
    Description {
        folder: "proto",
        file: "etcd.proto",
        package: "etcdserverpb",
        code: "cluster/src/etcd/generated.rs",
        codec: None,
        // The client has one function for all methods.
        client: false,
        server_in_tests: true,
        descriptors: None,
    },
    Description {
        folder: "proto",
        file: "peer.proto",
        package: "hedgerow.db.peer.v1",
        code: "cluster/src/peer/generated.rs",
        codec: None,
        client: true,
        server_in_tests: false,
        descriptors: None,
    },
];

fn main() -> Result<(), Box<dyn Error>> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    DESCRIPTIONS.iter().try_for_each(|description| make(&package, description))
}

fn make(package: &Path, description: &Description) -> Result<(), Box<dyn Error>> {
    let made = package.join("proto/target/made");
    fs::create_dir_all(&made)?;
    let (folder, file) = (package.join(description.folder), description.file);
    let mut builder =
        tonic_prost_build::configure().bytes(".").build_client(description.client).out_dir(&made);
    if let Some(codec) = description.codec {
        builder = builder.codec_path(codec);
    }
    if description.server_in_tests {
        builder = builder.server_mod_attribute(description.package, "#[cfg(test)]");
    }
    builder.compile_fds(protox::compile([file], [&folder])?)?;
    let mut code = fs::read_to_string(made.join(format!("{}.rs", description.package)))?;
    if let Some(documentation) = description.descriptors {
        let descriptors = protox::Compiler::new([&folder])?
            .include_source_info(false)
            .include_imports(true)
            .open_file(file)?
            .encode_file_descriptor_set();
        let descriptors = descriptors.escape_ascii();
        code +=
            &format!("/// {documentation}\npub const DESCRIPTION: &[u8] = b\"{descriptors}\";\n");
    }
    fs::write(package.join(description.code), code)?;
    Ok(())
}
