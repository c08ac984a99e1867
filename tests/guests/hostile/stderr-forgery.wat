;; Prints to standard error what would be a line of a log, an answer of a protocol, and commands to a terminal; and
;; after that without the end of any line.
(component
  (import "wasi:io/error@0.2.0" (instance $errors (export "error" (type $error (sub resource)))))
  (alias export $errors "error" (type $error))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (export "output-stream" (type $output (sub resource)))
    (type $failure (variant (case "last-operation-failed" (own $error)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $failure)))
    (export "[method]output-stream.blocking-write-and-flush"
      (func (param "self" (borrow $output)) (param "contents" (list u8)) (result (result (error $stream-error)))))))
  (alias export $streams "output-stream" (type $output))
  (import "wasi:cli/stderr@0.2.0" (instance $stderr (export "get-stderr" (func (result (own $output))))))
  (core module $memory (memory (export "memory") 1))
  (core instance $memory (instantiate $memory))
  (core func $open (canon lower (func $stderr "get-stderr")))
  (core func $write
    (canon lower (func $streams "[method]output-stream.blocking-write-and-flush") (memory (core memory $memory "memory"))))
  (core module $code
    (import "memory" "memory" (memory 1))
    (import "host" "open" (func $open (result i32)))
    (import "host" "write" (func $write (param i32 i32 i32 i32)))
    (data (i32.const 0) "\0a2026-01-01T00:00:00Z ERROR FORGED by a guest\0d\0a{\22jsonrpc\22:\222.0\22,\22id\22:77}\0a")
    (data (i32.const 80) "\1b[2J\1b]0;FORGED\07\e2\80\ae\c2\9b31m\00\ff\fe")
    (func (export "forge") (result i32)
      (local $stream i32)
      (local $left i32)
      (local.set $stream (call $open))
      (call $write (local.get $stream) (i32.const 0) (i32.const 104) (i32.const 8192))
      (memory.fill (i32.const 0) (i32.const 0x78) (i32.const 4096))
      (local.set $left (i32.const 100))
      (loop $more
        (call $write (local.get $stream) (i32.const 0) (i32.const 4096) (i32.const 8192))
        (br_if $more (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
      (i32.load8_u (i32.const 8192))))
  (core instance $code (instantiate $code
    (with "memory" (instance $memory))
    (with "host" (instance (export "open" (func $open)) (export "write" (func $write))))))
  (func (export "forge") (result u32) (canon lift (core func $code "forge"))))
