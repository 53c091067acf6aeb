//! Compiles the contracts with `protox`: no `protoc` needed on the machine.

use std::path::Path;

use prost_types::FileDescriptorSet;
use prost_types::field_descriptor_proto::Type;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=auspex");
    println!("cargo:rerun-if-changed=open_inference");
    let mut files: Vec<String> = std::fs::read_dir("auspex/v1")?
        .map(|entry| Ok(format!("auspex/v1/{}", entry?.file_name().to_string_lossy())))
        .collect::<Result<_, std::io::Error>>()?;
    files.sort();
    files.push("open_inference/grpc_predict_v2.proto".to_owned());
    let mut compiler = protox::Compiler::new(["."])?;
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_files(&files)?;
    tonic_prost_build::configure().compile_fds(compiler.file_descriptor_set())?;
    // What gRPC reflection tells: without comments, they are two thirds of it.
    let told = compiler.include_source_info(false).encode_file_descriptor_set();
    let out = std::env::var_os("OUT_DIR").ok_or("OUT_DIR: is not set")?;
    std::fs::write(Path::new(&out).join("descriptors.bin"), told)?;
    door(compiler.file_descriptor_set(), &Path::new(&out).join("door"))
}

/// The server's side of `EventService` once more, with each fact as the bytes that came. On the wire a message within a message
/// is a field of bytes: who takes it as those need not write it out again to put it on the log.
fn door(mut contracts: FileDescriptorSet, out: &Path) -> Result<(), Box<dyn std::error::Error>> {
    contracts
        .file
        .retain(|file| file.name() == "auspex/v1/event.proto");
    for file in &mut contracts.file {
        file.message_type
            .retain(|message| message.name() == "PublishRequest");
        let fields = file
            .message_type
            .iter_mut()
            .flat_map(|message| &mut message.field);
        for field in fields.filter(|field| field.r#type() == Type::Message) {
            field.set_type(Type::Bytes);
            field.type_name = None;
        }
        (file.enum_type, file.dependency, file.source_code_info) = (Vec::new(), Vec::new(), None);
    }
    std::fs::create_dir_all(out)?;
    tonic_prost_build::configure()
        .build_client(false)
        .bytes(".auspex.v1.PublishRequest")
        .extern_path(".auspex.v1.PublishResponse", "crate::wire::PublishResponse")
        .out_dir(out)
        .compile_fds(contracts)?;
    Ok(())
}
