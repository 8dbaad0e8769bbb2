# Builds guests. Nothing of the host's compiler, flags or sanitizers reaches them.
include_guard(GLOBAL)

# The first clang that can link for wasm32; Debian's unversioned one has wasm-ld beside it.
function(otr_find_wasm_clang)
  if(OTR_WASM_CLANG)
    return()
  endif()
  file(WRITE ${CMAKE_BINARY_DIR}/CMakeFiles/wasm-probe.c "int probe(void) { return 0; }\n")
  foreach(name clang clang-14 clang-15 clang-16 clang-17 clang-18 clang-19 clang-20)
    find_program(found ${name} NO_CACHE)
    if(found)
      execute_process(COMMAND ${found} --target=wasm32 -nostdlib -ffreestanding -Wl,--no-entry
        -o ${CMAKE_BINARY_DIR}/CMakeFiles/wasm-probe.wasm ${CMAKE_BINARY_DIR}/CMakeFiles/wasm-probe.c
        RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
      if(NOT failed)
        set(OTR_WASM_CLANG ${found} CACHE FILEPATH "clang that links for wasm32")
        return()
      endif()
    endif()
    unset(found)
  endforeach()
  message(FATAL_ERROR "no clang on PATH links for wasm32 (needs clang and lld): run `make deps`")
endfunction()

# otr_c_guest(<out.wasm> <source.c> [flag…]): a freestanding C guest on the SDK headers. Further flags come last.
function(otr_c_guest out source)
  otr_find_wasm_clang()
  get_filename_component(dir ${out} DIRECTORY)
  file(MAKE_DIRECTORY ${dir})
  file(RELATIVE_PATH label ${CMAKE_BINARY_DIR} ${out})
  add_custom_command(OUTPUT ${out}
    COMMAND ${OTR_WASM_CLANG} --target=wasm32 -std=c11 -O2 -nostdlib -ffreestanding -Wall -Wextra -Wpedantic -Werror
      -I ${PROJECT_SOURCE_DIR}/sdk -Wl,--no-entry,--stack-first,--strip-debug ${ARGN} -MD -MT ${out} -MF ${out}.d
      -o ${out} ${source}
    DEPENDS ${source} DEPFILE ${out}.d COMMENT "Guest ${label}" VERBATIM)
endfunction()
