;; Asks the host to print zeroes that the guest need not hold: 2^64 - 1 of them.
(component
  (import "wasi:io/error@0.2.0" (instance $errors (export "error" (type $error (sub resource)))))
  (alias export $errors "error" (type $error))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (export "output-stream" (type $output (sub resource)))
    (type $failure (variant (case "last-operation-failed" (own $error)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $failure)))
    (export "[method]output-stream.write-zeroes"
      (func (param "self" (borrow $output)) (param "len" u64) (result (result (error $stream-error)))))))
  (alias export $streams "output-stream" (type $output))
  (import "wasi:cli/stdout@0.2.0" (instance $stdout (export "get-stdout" (func (result (own $output))))))
  (core module $memory (memory (export "memory") 1))
  (core instance $memory (instantiate $memory))
  (core func $open (canon lower (func $stdout "get-stdout")))
  (core func $write (canon lower (func $streams "[method]output-stream.write-zeroes") (memory (core memory $memory "memory"))))
  (core module $code
    (import "host" "open" (func $open (result i32)))
    (import "host" "write" (func $write (param i32 i64 i32)))
    (func (export "print") (param i64) (call $write (call $open) (local.get 0) (i32.const 8192))))
  (core instance $code (instantiate $code
    (with "host" (instance (export "open" (func $open)) (export "write" (func $write))))))
  (func (export "print") (param "bytes" u64) (canon lift (core func $code "print"))))
