//! What a guest can try with files, each with a canary outside of its folder.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use fumehood_model::ByteSize;
use tempfile::TempDir;
use wasmtime_wasi::{
    WasiCtx,
    p2::bindings::{
        clocks::wall_clock::Datetime,
        filesystem::types::{
            DescriptorFlags, HostDescriptor, HostDirectoryEntryStream, NewTimestamp, OpenFlags, PathFlags,
        },
    },
};

use super::*;

const CANARY: &str = "untouched";

const READ: DescriptorFlags = DescriptorFlags::READ;
const WRITE: DescriptorFlags = DescriptorFlags::WRITE;
const FOLLOW: PathFlags = PathFlags::SYMLINK_FOLLOW;

/// A guest's files: a folder beside a canary that nothing may touch.
struct Scene {
    home: TempDir,
    wasi: WasiCtx,
    table: ResourceTable,
    files: Files,
    handed: Handed,
}

impl Scene {
    fn new(writable: bool, max_bytes: u64, max_files: u64) -> Self {
        Self::after(writable, max_bytes, max_files, |_| {})
    }

    fn after(writable: bool, max_bytes: u64, max_files: u64, prepare: impl FnOnce(&Path)) -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("canary"), CANARY).unwrap();
        let path = home.path().join("granted");
        fs::create_dir(&path).unwrap();
        prepare(&path);
        let mut wasi = WasiCtx::builder();
        let folder = Folder { within: path.clone(), path, at: "/data".into(), writable, max_bytes, max_files };
        let files = Files::open(&mut wasi, vec![folder]);
        Self { home, wasi: wasi.build(), table: ResourceTable::new(), files, handed: Handed::up_to(ByteSize::mib(64)) }
    }

    fn view(&mut self) -> View<'_> {
        View { ctx: self.wasi.filesystem(), table: &mut self.table, files: &mut self.files, handed: &mut self.handed }
    }

    fn root(&mut self) -> Resource<Descriptor> {
        preopens::Host::get_directories(&mut self.view()).unwrap().remove(0).0
    }

    fn inside(&self, path: &str) -> PathBuf {
        self.home.path().join("granted").join(path)
    }

    async fn open(
        &mut self,
        path: &str,
        how: OpenFlags,
        flags: DescriptorFlags,
    ) -> Result<Resource<Descriptor>, ErrorCode> {
        let root = self.root();
        said(self.view().open_at(root, FOLLOW, path.into(), how, flags).await)
    }

    async fn create(&mut self, path: &str) -> Result<Resource<Descriptor>, ErrorCode> {
        self.open(path, OpenFlags::CREATE, WRITE).await
    }

    async fn write(&mut self, fd: &Resource<Descriptor>, bytes: usize, at: u64) -> Result<u64, ErrorCode> {
        said(self.view().write(again(fd), vec![b'x'; bytes], at).await)
    }

    fn close(&mut self, fd: Resource<Descriptor>) {
        HostDescriptor::drop(&mut self.view(), fd).unwrap();
    }

    fn assert_canary(&self) {
        assert_eq!(fs::read_to_string(self.home.path().join("canary")).unwrap(), CANARY);
        let mut names: Vec<_> = fs::read_dir(self.home.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["canary", "granted"]);
    }
}

fn said<T>(result: FsResult<T>) -> Result<T, ErrorCode> {
    result.map_err(|error| error.downcast().expect("an error value, not a trap"))
}

fn again(fd: &Resource<Descriptor>) -> Resource<Descriptor> {
    Resource::new_borrow(fd.rep())
}

#[tokio::test]
async fn paths_out_of_the_folder_are_refused() {
    let mut scene = Scene::after(true, 1 << 20, 100, |folder| {
        symlink("../canary", folder.join("relative")).unwrap();
        symlink(folder.parent().unwrap().join("canary"), folder.join("absolute")).unwrap();
        symlink("..", folder.join("up")).unwrap();
        fs::create_dir(folder.join("sub")).unwrap();
    });
    let absolute = scene.home.path().join("canary").display().to_string();
    let tricks = [
        "../canary",
        "sub/../../canary",
        "relative",
        "absolute",
        "relative/",
        "absolute/",
        "up/canary",
        "up/",
        "..",
        "../",
        &absolute,
    ];

    for path in tricks {
        for (how, flags) in [
            (OpenFlags::empty(), READ),
            (OpenFlags::CREATE, WRITE),
            (OpenFlags::TRUNCATE, WRITE),
            (OpenFlags::DIRECTORY, READ),
        ] {
            assert!(scene.open(path, how, flags).await.is_err(), "{path} {how:?}");
        }
        let root = scene.root();
        assert!(scene.view().unlink_file_at(again(&root), path.to_owned() + "/").await.is_err(), "{path}");
        assert!(scene.view().create_directory_at(again(&root), format!("{path}/new")).await.is_err(), "{path}");
        let moved = scene.view().rename_at(again(&root), "sub".into(), again(&root), format!("{path}/x")).await;
        assert!(moved.is_err(), "{path}");
    }
    scene.assert_canary();
}

#[tokio::test]
async fn links_are_neither_made_nor_moved() {
    let mut scene = Scene::after(true, 1 << 20, 100, |folder| {
        symlink("../canary", folder.join("link")).unwrap();
        fs::write(folder.join("file"), "1").unwrap();
    });
    let root = scene.root();
    let refused = Err(ErrorCode::NotPermitted);

    for target in ["file", "../canary", "/etc/passwd"] {
        assert_eq!(said(scene.view().symlink_at(again(&root), target.into(), "new".into()).await), refused);
        let hard = scene.view().link_at(again(&root), FOLLOW, target.into(), again(&root), "new".into()).await;
        assert_eq!(said(hard), refused);
    }
    assert_eq!(said(scene.view().rename_at(again(&root), "link".into(), again(&root), "new".into()).await), refused);
    assert!(scene.view().rename_at(again(&root), "link/".into(), again(&root), "new".into()).await.is_err());
    assert!(!scene.inside("new").exists());
    scene.assert_canary();
}

#[tokio::test]
async fn a_folder_for_reading_stays_as_it_is() {
    let mut scene = Scene::after(false, 1 << 20, 100, |folder| {
        fs::create_dir(folder.join("sub")).unwrap();
        fs::write(folder.join("sub/file"), "content").unwrap();
    });
    let root = scene.root();
    let no = Some(ErrorCode::NotPermitted);

    for (how, flags) in [
        (OpenFlags::TRUNCATE, READ),
        (OpenFlags::TRUNCATE, WRITE),
        (OpenFlags::empty(), WRITE),
        (OpenFlags::CREATE, READ),
    ] {
        assert_eq!(scene.open("sub/file", how, flags).await.err(), no, "{how:?} {flags:?}");
    }
    let file = scene.open("sub/file", OpenFlags::empty(), READ).await.unwrap();
    let now = NewTimestamp::Now;
    assert_eq!(said(scene.view().set_size(again(&file), 0).await).err(), no);
    assert_eq!(said(scene.view().set_times(again(&file), now, now).await).err(), no);
    assert_eq!(scene.write(&file, 1, 0).await.err(), no);
    assert_eq!(said(scene.view().write_via_stream(again(&file), 0)).err(), no);
    assert_eq!(said(scene.view().append_via_stream(again(&file))).err(), no);
    let path = || "sub/file".to_owned();
    assert_eq!(said(scene.view().set_times_at(again(&root), FOLLOW, path(), now, now).await).err(), no);
    assert_eq!(said(scene.view().unlink_file_at(again(&root), path()).await).err(), no);
    assert_eq!(said(scene.view().remove_directory_at(again(&root), "sub".into()).await).err(), no);
    assert_eq!(said(scene.view().create_directory_at(again(&root), "new".into()).await).err(), no);
    assert_eq!(said(scene.view().rename_at(again(&root), path(), again(&root), "b".into()).await).err(), no);
    let (bytes, _) = said(scene.view().read(again(&file), 100, 0).await).unwrap();
    assert_eq!(bytes, b"content");
    assert_eq!(fs::read_to_string(scene.inside("sub/file")).unwrap(), "content");
}

#[tokio::test]
async fn bytes_are_charged_before_they_are_written() {
    let mut scene = Scene::new(true, 1_000, 10);
    let file = scene.create("a").await.unwrap();

    assert_eq!(scene.write(&file, 600, 0).await, Ok(600));
    assert_eq!(scene.write(&file, 600, 0).await, Ok(600), "what is overwritten costs nothing");
    assert_eq!(scene.write(&file, 401, 600).await, Err(ErrorCode::Quota));
    assert_eq!(scene.write(&file, 1, u64::MAX).await.err(), Some(ErrorCode::FileTooLarge));
    assert_eq!(scene.write(&file, 400, 600).await, Ok(400));
    let other = scene.create("b").await.unwrap();
    assert_eq!(scene.write(&other, 1, 0).await, Err(ErrorCode::Quota));
    assert_eq!(fs::metadata(scene.inside("a")).unwrap().len(), 1_000);
}

#[tokio::test]
async fn holes_cost_what_they_hide() {
    let mut scene = Scene::new(true, 1_000, 10);
    let file = scene.create("sparse").await.unwrap();

    assert_eq!(said(scene.view().set_size(again(&file), 1 << 40).await), Err(ErrorCode::Quota));
    assert!(said(scene.view().set_size(again(&file), u64::MAX).await).is_err());
    assert_eq!(scene.write(&file, 1, 1 << 40).await, Err(ErrorCode::Quota));
    assert_eq!(said(scene.view().set_size(again(&file), 1_000).await), Ok(()));
    assert_eq!(said(scene.view().set_size(again(&file), 10).await), Ok(()));
    assert_eq!(scene.write(&file, 990, 10).await, Ok(990), "what was cut off is free again");
    assert_eq!(fs::metadata(scene.inside("sparse")).unwrap().len(), 1_000);
}

#[tokio::test]
async fn streams_are_charged_and_tell_that_the_quota_is_used_up() {
    let mut scene = Scene::new(true, 100_000, 10);
    let file = scene.create("a").await.unwrap();
    let stream = said(scene.view().append_via_stream(again(&file))).unwrap();

    let writer = scene.table.get_mut(&stream).unwrap();
    assert_eq!(writer.write_ready().await.unwrap(), 64 << 10);
    writer.write(vec![1; 60_000].into()).unwrap();
    assert_eq!(writer.check_write().unwrap(), 0);
    writer.ready().await;
    writer.write(vec![1; 60_000].into()).unwrap();
    writer.ready().await;
    let failed = writer.check_write().unwrap_err();

    let wasmtime_wasi::p2::StreamError::LastOperationFailed(error) = failed else { panic!("{failed}") };
    let error = scene.table.push(error).unwrap();
    assert_eq!(types::Host::filesystem_error_code(&mut scene.view(), error).unwrap(), Some(ErrorCode::Quota));
    let writer = scene.table.get_mut(&stream).unwrap();
    assert!(matches!(writer.check_write(), Err(wasmtime_wasi::p2::StreamError::Closed)));
    assert_eq!(fs::metadata(scene.inside("a")).unwrap().len(), 60_000);
}

#[tokio::test]
async fn a_file_is_read_back_as_a_stream_to_its_end() {
    let content: Vec<u8> = (0..150_000_u32).map(|n| n as u8).collect();
    let mut scene = Scene::after(false, 0, 0, |folder| fs::write(folder.join("a"), &content).unwrap());
    let file = scene.open("a", OpenFlags::empty(), READ).await.unwrap();
    let stream = said(scene.view().read_via_stream(file, 10)).unwrap();
    let reader = scene.table.get_mut(&stream).unwrap();

    let mut read = Vec::new();
    while let Ok(piece) = reader.blocking_read(50_000).await {
        read.extend_from_slice(&piece);
    }

    assert_eq!(read, &content[10..]);
}

#[tokio::test]
async fn files_are_counted_and_can_be_given_back() {
    let mut scene = Scene::after(true, 1_000, 3, |folder| fs::write(folder.join("old"), vec![0; 500]).unwrap());
    let root = scene.root();

    let a = scene.create("a").await.unwrap();
    assert_eq!(said(scene.view().create_directory_at(again(&root), "d/".into()).await), Ok(()));
    assert_eq!(scene.create("b").await.err(), Some(ErrorCode::Quota));
    assert_eq!(said(scene.view().create_directory_at(again(&root), "e".into()).await), Err(ErrorCode::Quota));
    assert!(scene.create("a").await.is_ok(), "what is there already is no new file");
    assert_eq!(scene.write(&a, 501, 0).await, Err(ErrorCode::Quota));

    assert_eq!(said(scene.view().unlink_file_at(again(&root), "old".into()).await), Ok(()));
    assert_eq!(scene.write(&a, 1_000, 0).await, Ok(1_000));
    assert_eq!(said(scene.view().remove_directory_at(again(&root), "d".into()).await), Ok(()));
    assert!(scene.create("b").await.is_ok());
    assert!(scene.create("c").await.is_ok());
    assert_eq!(scene.create("e").await.err(), Some(ErrorCode::Quota));
}

#[tokio::test]
async fn a_removed_file_that_is_still_open_takes_its_space() {
    let mut scene = Scene::new(true, 1_000, 10);
    let root = scene.root();
    let held = scene.create("held").await.unwrap();
    assert_eq!(scene.write(&held, 800, 0).await, Ok(800));
    assert_eq!(said(scene.view().unlink_file_at(again(&root), "held".into()).await), Ok(()));

    let next = scene.create("next").await.unwrap();

    assert_eq!(scene.write(&next, 201, 0).await, Err(ErrorCode::Quota));
    assert_eq!(scene.write(&next, 200, 0).await, Ok(200));
    scene.close(next);
    assert_eq!(said(scene.view().unlink_file_at(root, "next".into()).await), Ok(()));
    let third = scene.create("third").await.unwrap();
    assert_eq!(scene.write(&third, 200, 0).await, Ok(200), "one that was closed is given back");
}

#[tokio::test]
async fn what_a_rename_replaces_is_given_back_once() {
    let mut scene = Scene::new(true, 1_000, 2);
    let root = scene.root();
    for name in ["a", "b"] {
        let file = scene.create(name).await.unwrap();
        scene.write(&file, 500, 0).await.unwrap();
        scene.close(file);
    }

    assert_eq!(said(scene.view().rename_at(again(&root), "a".into(), again(&root), "b".into()).await), Ok(()));
    assert_eq!(said(scene.view().rename_at(again(&root), "b".into(), again(&root), "b".into()).await), Ok(()));

    let file = scene.create("c").await.unwrap();
    assert_eq!(scene.write(&file, 501, 0).await, Err(ErrorCode::Quota));
    assert_eq!(scene.write(&file, 500, 0).await, Ok(500));
    assert_eq!(scene.create("d").await.err(), Some(ErrorCode::Quota));
}

#[tokio::test]
async fn cutting_a_file_off_when_it_is_opened_gives_its_bytes_back() {
    let mut scene = Scene::after(true, 1_000, 10, |folder| fs::write(folder.join("a"), vec![0; 1_000]).unwrap());

    let file = scene.open("a", OpenFlags::TRUNCATE, WRITE).await.unwrap();

    assert_eq!(scene.write(&file, 1_000, 0).await, Ok(1_000));
    assert_eq!(scene.write(&file, 1, 1_000).await, Err(ErrorCode::Quota));
}

#[tokio::test]
async fn folders_do_not_nest_without_end() {
    let mut scene = Scene::new(true, 1_000, 1_000);
    let root = scene.root();
    let (mut at, mut depth) = (again(&root), 0);

    let refused = loop {
        if let Err(refused) = said(scene.view().create_directory_at(again(&at), "d".into()).await) {
            break refused;
        }
        depth += 1;
        let opened = scene.view().open_at(again(&at), FOLLOW, "d".into(), OpenFlags::DIRECTORY, READ).await;
        let below = said(opened).unwrap();
        if depth > 1 {
            scene.close(Resource::new_own(at.rep()));
        }
        at = below;
    };

    assert_eq!((depth, refused), (64, ErrorCode::NameTooLong));
    // A deep folder that is moved below another would get around the bound.
    said(scene.view().create_directory_at(again(&root), "other".into()).await).unwrap();
    let moved = scene.view().rename_at(again(&root), "d".into(), again(&root), "other/d".into()).await;
    assert_eq!(said(moved), Err(ErrorCode::CrossDevice));
    assert_eq!(said(scene.view().rename_at(again(&root), "d".into(), again(&root), "e/".into()).await), Ok(()));
}

#[tokio::test]
async fn impossible_times_are_an_error_and_no_panic() {
    let mut scene = Scene::new(true, 1_000, 10);
    let (root, file) = (scene.root(), scene.create("a").await.unwrap());
    let at = |seconds, nanoseconds| NewTimestamp::Timestamp(Datetime { seconds, nanoseconds });

    for time in [at(u64::MAX, 0), at(u64::MAX, u32::MAX), at(i64::MAX as u64, 0), at(1 << 40, 0), at(0, 1_000_000_000)]
    {
        assert!(said(scene.view().set_times(again(&file), time, time).await).is_err(), "{time:?}");
        let by_path = scene.view().set_times_at(again(&root), FOLLOW, "a".into(), NewTimestamp::NoChange, time).await;
        assert!(said(by_path).is_err(), "{time:?}");
    }
    assert_eq!(said(scene.view().set_times(again(&file), at(0, 0), at(1 << 31, 999_999_999)).await), Ok(()));
    assert!(said(scene.view().stat(file).await).is_ok());
}

#[tokio::test]
async fn a_named_pipe_is_not_opened() {
    let mut scene = Scene::after(true, 1_000, 10, |folder| {
        let made = std::process::Command::new("mkfifo").arg(folder.join("pipe")).status().unwrap();
        assert!(made.success());
    });

    assert_eq!(scene.open("pipe", OpenFlags::empty(), READ).await.err(), Some(ErrorCode::NotPermitted));
    assert_eq!(scene.open("pipe", OpenFlags::CREATE, WRITE).await.err(), Some(ErrorCode::NotPermitted));
}

#[tokio::test]
async fn open_files_are_bounded_also_when_only_a_stream_holds_them() {
    let mut scene = Scene::after(false, 0, 0, |folder| fs::write(folder.join("a"), "1").unwrap());

    for _ in 0..MAX_OPEN {
        let file = scene.open("a", OpenFlags::empty(), READ).await.unwrap();
        let _stream = said(scene.view().read_via_stream(again(&file), 0)).unwrap();
        scene.close(file);
    }

    assert_eq!(scene.open("a", OpenFlags::empty(), READ).await.err(), Some(ErrorCode::Quota));
    let root = scene.root();
    assert_eq!(said(scene.view().read_directory(root).await).err(), Some(ErrorCode::Quota));
}

#[tokio::test]
async fn a_folder_is_listed_whole_with_the_kind_of_each_entry() {
    let mut scene = Scene::after(false, 0, 0, |folder| {
        for number in 0..200 {
            fs::write(folder.join(format!("{number}")), "").unwrap();
        }
        fs::create_dir(folder.join("sub")).unwrap();
        symlink("/etc", folder.join("link")).unwrap();
    });
    let root = scene.root();
    let listing = said(scene.view().read_directory(root).await).unwrap();

    let mut kinds = HashMap::new();
    while let Some(entry) = said(scene.view().read_directory_entry(Resource::new_borrow(listing.rep())).await).unwrap()
    {
        kinds.entry(format!("{:?}", entry.type_)).or_insert_with(Vec::new).push(entry.name);
    }

    assert!(kinds.values().flatten().all(|name| name != "." && name != ".."));
    assert_eq!(kinds.values().map(Vec::len).sum::<usize>(), 202);
    assert!(kinds["DescriptorType::Directory"].iter().eq(["sub"]));
    assert!(kinds["DescriptorType::SymbolicLink"].iter().eq(["link"]));
    HostDirectoryEntryStream::drop(&mut scene.view(), listing).unwrap();
}

#[tokio::test]
async fn many_streams_keep_one_thread_busy() {
    let mut scene = Scene::new(true, 10_000_000, 10);
    let file = scene.create("a").await.unwrap();
    let lane = Arc::clone(&scene.files.lane);
    let held = lane.lock_owned().await;
    let streams: Vec<_> = (0..50).map(|_| said(scene.view().append_via_stream(again(&file))).unwrap()).collect();

    for stream in &streams {
        scene.table.get_mut(stream).unwrap().write(vec![1; 1_000].into()).unwrap();
    }
    tokio::task::yield_now().await;
    let waiting = fs::metadata(scene.inside("a")).unwrap().len();
    drop(held);
    for stream in &streams {
        scene.table.get_mut(stream).unwrap().ready().await;
    }

    assert_eq!((waiting, fs::metadata(scene.inside("a")).unwrap().len()), (0, 50_000));
}

#[test]
fn a_folder_that_is_not_there_is_left_out() {
    let missing = Folder {
        path: "/nonexistent/x".into(),
        within: "/nonexistent/x".into(),
        at: "/data".into(),
        writable: true,
        max_bytes: 1,
        max_files: 1,
    };

    let files = Files::open(&mut WasiCtx::builder(), vec![missing]);

    assert!(files.folders.is_empty());
}
