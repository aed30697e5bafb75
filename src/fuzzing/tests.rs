//! What the fuzzers have found, once more: a few seconds' worth, on every compiler.

use std::path::Path;

type Target = (&'static str, fn(&[u8]));

#[test]
fn the_corpus_of_the_fuzzers_still_holds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    if !corpus.exists() {
        println!("the corpus is not part of the package: nothing is tested");
        return;
    }
    let targets: [Target; 6] = [
        ("frames", super::frames),
        ("methods", super::methods),
        ("field_table", super::field_table),
        ("connection", super::connection),
        ("open_connection", super::open_connection),
        ("url", super::url),
    ];
    for (name, target) in targets {
        let mut files: Vec<_> = std::fs::read_dir(corpus.join(name))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        assert!(!files.is_empty(), "{name} has no corpus");
        for file in files {
            // The name of the one that fails is the last.
            println!("{}", file.display());
            target(&std::fs::read(&file).unwrap());
        }
    }
}
