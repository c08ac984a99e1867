;; Opens a file below a directory that it was never given, by guessing the number of its handle.
(component
  (import "wasi:filesystem/types@0.2.0" (instance $files
    (export "descriptor" (type $descriptor (sub resource)))
    (type $paths (flags "symlink-follow"))
    (export "path-flags" (type $path-flags (eq $paths)))
    (type $opens (flags "create" "directory" "exclusive" "truncate"))
    (export "open-flags" (type $open-flags (eq $opens)))
    (type $kinds (flags "read" "write" "file-integrity-sync" "data-integrity-sync" "requested-write-sync"
      "mutate-directory"))
    (export "descriptor-flags" (type $descriptor-flags (eq $kinds)))
    (type $codes (enum "access" "would-block" "already" "bad-descriptor" "busy" "deadlock" "quota" "exist"
      "file-too-large" "illegal-byte-sequence" "in-progress" "interrupted" "invalid" "io" "is-directory" "loop"
      "too-many-links" "message-size" "name-too-long" "no-device" "no-entry" "no-lock" "insufficient-memory"
      "insufficient-space" "not-directory" "not-empty" "not-recoverable" "unsupported" "no-tty" "no-such-device"
      "overflow" "not-permitted" "pipe" "read-only" "invalid-seek" "text-file-busy" "cross-device"))
    (export "error-code" (type $error-code (eq $codes)))
    (export "[method]descriptor.open-at" (func
      (param "self" (borrow $descriptor)) (param "path-flags" $path-flags) (param "path" string)
      (param "open-flags" $open-flags) (param "flags" $descriptor-flags)
      (result (result (own $descriptor) (error $error-code)))))))
  (core module $memory
    (memory (export "memory") 1)
    (data (i32.const 0) "etc/passwd"))
  (core instance $memory (instantiate $memory))
  (core func $open (canon lower (func $files "[method]descriptor.open-at") (memory (core memory $memory "memory"))))
  (core module $code
    (import "host" "open" (func $open (param i32 i32 i32 i32 i32 i32 i32)))
    (func (export "open") (param i32)
      (call $open (local.get 0) (i32.const 1) (i32.const 0) (i32.const 10) (i32.const 0) (i32.const 1)
        (i32.const 1024))))
  (core instance $code (instantiate $code (with "host" (instance (export "open" (func $open))))))
  (func (export "open") (param "handle" u32) (canon lift (core func $code "open"))))
