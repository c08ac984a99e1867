;; Asks for a million million random bytes in one call.
(component
  (import "wasi:random/random@0.2.0" (instance $random
    (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
  (core module $memory
    (memory (export "memory") 4)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536)))
  (core instance $memory (instantiate $memory))
  (core func $random
    (canon lower (func $random "get-random-bytes") (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (core module $code
    (import "host" "random" (func $random (param i64 i32)))
    (func (export "draw") (call $random (i64.const 1000000000000) (i32.const 1024))))
  (core instance $code (instantiate $code (with "host" (instance (export "random" (func $random))))))
  (func (export "draw") (canon lift (core func $code "draw"))))
