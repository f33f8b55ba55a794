# Writes HEADER with the commit of SOURCE, followed by "-dirty" if files differ; "unknown" without git.
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=9 --match ""
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  set(commit unknown)
endif()
set(text "#pragma once\n\nnamespace ito::apps {\ninline constexpr char kCommit[] = \"${commit}\";\n}\n")
set(written "")
if(EXISTS ${HEADER})
  file(READ ${HEADER} written)
endif()
if(NOT written STREQUAL text)
  file(WRITE ${HEADER} "${text}")
endif()
