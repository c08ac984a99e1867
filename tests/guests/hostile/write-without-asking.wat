;; Writes 15 MiB at a time, so often as it is told, and never asks how much it may: work for the host and none for itself.
(component
  (import "wasi:io/error@0.2.0" (instance $errors (export "error" (type $error (sub resource)))))
  (alias export $errors "error" (type $error))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (export "output-stream" (type $output (sub resource)))
    (type $failure (variant (case "last-operation-failed" (own $error)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $failure)))
    (export "[method]output-stream.write"
      (func (param "self" (borrow $output)) (param "contents" (list u8)) (result (result (error $stream-error)))))))
  (alias export $streams "output-stream" (type $output))
  (import "wasi:cli/stdout@0.2.0" (instance $stdout (export "get-stdout" (func (result (own $output))))))
  (core module $memory (memory (export "memory") 241))
  (core instance $memory (instantiate $memory))
  (core func $open (canon lower (func $stdout "get-stdout")))
  (core func $write
    (canon lower (func $streams "[method]output-stream.write") (memory (core memory $memory "memory"))))
  (core module $code
    (import "memory" "memory" (memory 1))
    (import "host" "open" (func $open (result i32)))
    (import "host" "write" (func $write (param i32 i32 i32 i32)))
    (func (export "flood") (param $times i32) (result i32)
      (local $stream i32)
      (local.set $stream (call $open))
      (loop $more
        (call $write (local.get $stream) (i32.const 65536) (i32.const 15728640) (i32.const 0))
        (br_if $more (local.tee $times (i32.sub (local.get $times) (i32.const 1)))))
      (i32.const 0)))
  (core instance $code (instantiate $code
    (with "memory" (instance $memory))
    (with "host" (instance (export "open" (func $open)) (export "write" (func $write))))))
  (func (export "flood") (param "times" u32) (result u32) (canon lift (core func $code "flood"))))
