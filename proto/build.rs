//! Compiles the contracts with `protox`: no `protoc` needed on the machine.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=auspex");
    println!("cargo:rerun-if-changed=open_inference");
    let mut files: Vec<String> = std::fs::read_dir("auspex/v1")?
        .map(|entry| Ok(format!("auspex/v1/{}", entry?.file_name().to_string_lossy())))
        .collect::<Result<_, std::io::Error>>()?;
    files.sort();
    files.push("open_inference/grpc_predict_v2.proto".to_owned());
    let descriptors = protox::compile(&files, ["."])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
