//! Compiles the contracts with `protox`: no `protoc` needed on the machine.
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
    std::fs::write(std::path::Path::new(&out).join("descriptors.bin"), told)?;
    Ok(())
}
