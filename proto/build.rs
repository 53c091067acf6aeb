//! Compiles the contracts with `protox`: no `protoc` needed on the machine.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=auspex");
    let mut files: Vec<String> = std::fs::read_dir("auspex/v1")?
        .map(|entry| Ok(format!("auspex/v1/{}", entry?.file_name().to_string_lossy())))
        .collect::<Result<_, std::io::Error>>()?;
    files.sort();
    let descriptors = protox::compile(&files, ["."])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
