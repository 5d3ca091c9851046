//! Prepares `static/` for the binary: each file gets a content hash in its name and a compressed twin. Must not know
//! what the files are for.

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=static");
    println!("cargo::rerun-if-changed=migrations");
    println!("cargo::rerun-if-changed=seeds");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut table = String::from("&[\n");
    let mut files: Vec<PathBuf> = fs::read_dir("static")?
        .map(|e| e.map(|e| e.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    for path in files.iter().filter(|p| p.is_file()) {
        let bytes = fs::read(path)?;
        let name = path
            .file_name()
            .and_then(|n| n.to_str())
            .ok_or("a file name is not UTF-8")?;
        let hash: String = Sha256::digest(&bytes)
            .iter()
            .take(5)
            .map(|b| format!("{b:02x}"))
            .collect();
        let brotli = out.join(format!("{name}.br"));
        compress(&bytes, &brotli)?;
        let (stem, extension) = name
            .rsplit_once('.')
            .ok_or("a file in static/ has no extension")?;
        table.push_str(&format!(
            "Asset {{ name: {name:?}, hashed: {:?}, plain: include_bytes!({:?}), brotli: include_bytes!({:?}) }},\n",
            format!("{stem}.{hash}.{extension}"),
            fs::canonicalize(path)?,
            brotli,
        ));
    }
    table.push(']');
    fs::write(out.join("assets.rs"), table)?;
    Ok(())
}

fn compress(bytes: &[u8], to: &Path) -> std::io::Result<()> {
    let mut writer = brotli::CompressorWriter::new(fs::File::create(to)?, 4096, 11, 22);
    writer.write_all(bytes)?;
    writer.flush()
}
