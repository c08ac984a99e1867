;; Asks for 32 KiB of random bytes, again and again.
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
    (func (export "draw") (param $times i32)
      (loop $more
        (call $random (i64.const 32768) (i32.const 1024))
        (br_if $more (local.tee $times (i32.sub (local.get $times) (i32.const 1)))))))
  (core instance $code (instantiate $code (with "host" (instance (export "random" (func $random))))))
  (func (export "draw") (param "times" u32) (canon lift (core func $code "draw"))))
