;; Counts its calls, in a global, in its memory and in a table. Answers with the sum, three in each fresh instance.
(component
  (core module $code
    (memory 1)
    (table 10 funcref)
    (elem declare func $count)
    (global $calls (mut i32) (i32.const 0))
    (func $count (export "count") (result i32)
      (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
      (i32.store (i32.const 60000) (i32.add (i32.load (i32.const 60000)) (i32.const 1)))
      (i32.add (i32.add (global.get $calls) (i32.load (i32.const 60000)))
        (if (result i32) (ref.is_null (table.get (i32.const 9)))
          (then (table.set (i32.const 9) (ref.func $count)) (i32.const 1))
          (else (i32.const 1000))))))
  (core instance $code (instantiate $code))
  (func (export "count") (result u32) (canon lift (core func $code "count"))))
