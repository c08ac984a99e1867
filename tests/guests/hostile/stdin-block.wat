;; Reads its standard input and would wait for it. Answers with 1 if it was told at once that there is nothing.
(component
  (import "wasi:io/error@0.2.0" (instance $errors (export "error" (type $error (sub resource)))))
  (alias export $errors "error" (type $error))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (export "input-stream" (type $input (sub resource)))
    (type $failure (variant (case "last-operation-failed" (own $error)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $failure)))
    (export "[method]input-stream.blocking-read"
      (func (param "self" (borrow $input)) (param "len" u64) (result (result (list u8) (error $stream-error)))))))
  (alias export $streams "input-stream" (type $input))
  (import "wasi:cli/stdin@0.2.0" (instance $stdin (export "get-stdin" (func (result (own $input))))))
  (core module $memory
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8192)))
  (core instance $memory (instantiate $memory))
  (core func $open (canon lower (func $stdin "get-stdin")))
  (core func $read (canon lower (func $streams "[method]input-stream.blocking-read")
    (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (core module $code
    (import "memory" "memory" (memory 1))
    (import "host" "open" (func $open (result i32)))
    (import "host" "read" (func $read (param i32 i64 i32)))
    (func (export "read") (result i32)
      (call $read (call $open) (i64.const -1) (i32.const 1024))
      (i32.load8_u (i32.const 1024))))
  (core instance $code (instantiate $code
    (with "memory" (instance $memory))
    (with "host" (instance (export "open" (func $open)) (export "read" (func $read))))))
  (func (export "read") (result u32) (canon lift (core func $code "read"))))
