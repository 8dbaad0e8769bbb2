//! The messages of proto/, whose folder is in OUTRIDER_PROTO.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let proto = std::env::var("OUTRIDER_PROTO").expect("OUTRIDER_PROTO: the folder proto/ of Outrider");
    let files = ["plugin", "host", "topics"]
        .map(|name| Path::new(&proto).join(format!("outrider/plugin/v1/{name}.proto")));
    prost_build::Config::new()
        .btree_map(["."])
        .compile_protos(&files, &[Path::new(&proto)])
}
