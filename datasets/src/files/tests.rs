use super::*;
use std::io::Write;
use zip::write::SimpleFileOptions;

fn zip_of(entries: &[(&str, &[u8])]) -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().suffix(".zip").tempfile().expect("a temporary file");
    let mut zip = zip::ZipWriter::new(file.reopen().expect("reopened"));
    for (name, content) in entries {
        zip.start_file(*name, SimpleFileOptions::default()).expect("started");
        zip.write_all(content).expect("written");
    }
    zip.finish().expect("finished");
    file
}

#[test]
fn a_folder_and_its_zip_look_the_same() {
    let entries: [(&str, &[u8]); 3] =
        [("images/b/2.jpg", b"two"), ("images/a.jpg", b"one"), ("transforms.json", b"{}")];
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, content) in entries {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("created");
        fs::write(path, content).expect("written");
    }
    let flat = zip_of(&entries);
    let nested: Vec<_> = entries.iter().map(|(name, content)| (format!("fox/{name}"), *content)).collect();
    let mut nested: Vec<(&str, &[u8])> = nested.iter().map(|(name, content)| (name.as_str(), *content)).collect();
    nested.push(("__MACOSX/fox/._a", b"junk"));
    let nested = zip_of(&nested);

    for path in [folder.path(), flat.path(), nested.path()] {
        let files = Files::open(path).expect("opens");
        assert_eq!(files.list().expect("listed"), ["images/a.jpg", "images/b/2.jpg", "transforms.json"]);
        assert_eq!(files.list_dir("").expect("listed"), ["images", "transforms.json"]);
        assert_eq!(files.list_dir("images/").expect("listed"), ["a.jpg", "b"]);
        assert_eq!(files.list_dir("nowhere").expect("listed"), Vec::<String>::new());
        assert_eq!(files.list_below("images/b").expect("listed"), ["images/b/2.jpg"]);
        assert_eq!(files.read("./images//b/../a.jpg").expect("read"), b"one");
        assert_eq!(files.read_prefix("images/a.jpg", 2).expect("read"), b"on");
        assert!(files.exists("images\\a.jpg") && !files.exists("images") && !files.exists("images/c.jpg"));
        assert!(files.is_dir("images/b") && files.is_dir("") && !files.is_dir("images/a.jpg"));
        assert!(files.read("images/c.jpg").is_err());
    }
}

#[test]
fn nothing_outside_the_root_is_read() {
    let outer = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(outer.path().join("in")).expect("created");
    fs::write(outer.path().join("secret"), b"x").expect("written");
    let files = Files::open(outer.path().join("in")).expect("opens");
    let absolute = outer.path().join("secret");
    for rel in ["../secret", "a/../../secret", "..\\secret", absolute.to_str().expect("Unicode")] {
        assert!(!files.exists(rel), "{rel} is seen");
        let error = files.read(rel).expect_err("refused").to_string();
        assert!(error.contains("outside of the folder"), "{error}");
    }
    let evil = zip_of(&[("../../secret", b"x"), ("good", b"y")]);
    assert_eq!(Files::open(evil.path()).expect("opens").list().expect("listed"), ["good"]);
}

#[test]
fn zip_bombs_are_refused() {
    let file = tempfile::Builder::new().suffix(".zip").tempfile().expect("a temporary file");
    let mut zip = zip::ZipWriter::new(file.reopen().expect("reopened"));
    let options = SimpleFileOptions::default().compression_level(Some(1));
    zip.start_file("bomb", options).expect("started");
    let zeros = vec![0_u8; 1 << 20];
    for _ in 0..1025 {
        zip.write_all(&zeros).expect("written");
    }
    zip.finish().expect("finished");
    let files = Files::open(file.path()).expect("opens");
    let error = files.read("bomb").expect_err("refused").to_string();
    assert!(error.contains("1 GiB"), "{error}");
}

#[test]
fn what_is_no_archive_is_named() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(file.path(), b"not a zip").expect("written");
    let error = Files::open(file.path()).expect_err("refused").to_string();
    assert!(error.contains("not a readable zip archive"), "{error}");
    let error = Files::open("/nonexistent/capture").expect_err("refused").to_string();
    assert!(error.contains("does not exist"), "{error}");
}
