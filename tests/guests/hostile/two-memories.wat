;; Two instances of one module, each with a memory of its own, that grow in turns as long as they may: the bound holds
;; for both together. Answers with the pages that it got.
(component
  (core module $memory
    (memory 0)
    (func (export "grow") (result i32) (memory.grow (i32.const 1))))
  (core instance $left (instantiate $memory))
  (core instance $right (instantiate $memory))
  (core module $code
    (import "left" "grow" (func $left (result i32)))
    (import "right" "grow" (func $right (result i32)))
    (func (export "grow") (result i32)
      (local $pages i32)
      (block $full
        (loop $again
          (br_if $full (i32.eq (call $left) (i32.const -1)))
          (local.set $pages (i32.add (local.get $pages) (i32.const 1)))
          (br_if $full (i32.eq (call $right) (i32.const -1)))
          (local.set $pages (i32.add (local.get $pages) (i32.const 1)))
          (br $again)))
      (local.get $pages)))
  (core instance $code (instantiate $code (with "left" (instance $left)) (with "right" (instance $right))))
  (func (export "grow") (result u32) (canon lift (core func $code "grow"))))
